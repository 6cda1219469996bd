"""Delays between REST requests, and the number of answers that prove a loss."""

RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Delays before the next request, after an incomplete answer or an error."""
GIVE_UP_AFTER_S = 30.0
GIVE_UP_ANSWERS = 5
"""Records are lost only after this many answers lacked them for `GIVE_UP_AFTER_S`, since REST caches lag."""


def delay_s(failures: int) -> float:
    """Return the delay after this many failures in a row."""
    return RETRY_S[min(failures, len(RETRY_S) - 1)]
