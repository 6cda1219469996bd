"""Meaning of HTTP statuses of REST answers, where an exchange does not say more."""

import re
from collections.abc import Mapping

from market_collector.exchanges.interface import ProblemKind, RestProblem

HTTP_OK = 200
FORBIDDEN, TOO_MANY, LEGAL_REASONS = 403, 429, 451
SERVER_ERRORS = 500
_REGION = re.compile(rb"\b(?:your|restricted)\s+(?:country|region|location)\b", re.IGNORECASE)


def problem_of_status(
    status: int, headers: Mapping[str, str], pause_s: float, longest_pause_s: float = float("inf")
) -> RestProblem:
    """Return the problem of an HTTP error.

    Args:
        status: HTTP status other than 200.
        headers: by lower-case name. ``Retry-After`` counts in seconds; as a date it is ignored.
        pause_s: pause after too many requests, if the exchange does not request one.
        longest_pause_s: limit of the requested pause.
    """
    if status == TOO_MANY:
        return RestProblem(ProblemKind.BUSY, requested_pause_s(headers, pause_s, longest_pause_s))
    return RestProblem(ProblemKind.SERVER if status >= SERVER_ERRORS else ProblemKind.BUG)


def excludes_region(status: int, body: bytes) -> bool:
    """Return whether an HTTP error excludes the client's country or region, by its status (RFC 7725) or its words."""
    return status == LEGAL_REASONS or (status == FORBIDDEN and _REGION.search(body) is not None)


def requested_pause_s(headers: Mapping[str, str], pause_s: float, longest_pause_s: float = float("inf")) -> float:
    """Return the pause that an answer requests, in seconds; ``pause_s`` if it requests none. Arguments as above."""
    after = headers.get("retry-after", "")
    return min(float(after), longest_pause_s) if after.isdecimal() else pause_s
