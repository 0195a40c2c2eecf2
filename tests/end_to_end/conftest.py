from tests.tiny_run import copy_task, private_cache

__all__ = ["copy_task", "private_cache"]
