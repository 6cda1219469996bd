"""Memory that a piece of work leaves behind."""

import tracemalloc
from collections.abc import Callable


def kept_bytes(work: Callable[[], object]) -> int:
    """Bytes that the work has allocated and its result or its objects still hold."""
    tracemalloc.start()
    try:
        result = work()
        held, _ = tracemalloc.get_traced_memory()
        del result
        return held
    finally:
        tracemalloc.stop()
