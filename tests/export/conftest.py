from tests.browser import browser
from tests.tiny_run import copy_task, private_cache, without_curves

__all__ = ["browser", "copy_task", "private_cache", "without_curves"]
