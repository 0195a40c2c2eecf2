from tests.tiny_run import copy_task, private_cache, without_curves

__all__ = ["copy_task", "private_cache", "without_curves"]
