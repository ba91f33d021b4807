"""What the run of all tests needs."""

import gc


def pytest_collection_finish() -> None:
    """Take the tests themselves, which are many, out of Python's search for garbage."""
    gc.collect()
    gc.freeze()
