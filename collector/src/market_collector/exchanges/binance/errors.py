"""Errors of Binance's REST and WebSocket APIs."""

from collections.abc import Mapping

import msgspec

from market_collector.errors import UNREADABLE
from market_collector.exchanges.http_status import (
    FORBIDDEN,
    HTTP_OK,
    TOO_MANY,
    excludes_region,
    problem_of_status,
    requested_pause_s,
)
from market_collector.exchanges.interface import ProblemKind, RestProblem

BANNED = 418
BUSY_PAUSE_S = 10.0
"""After HTTP 429 without a ``Retry-After``."""
BAN_S = 120.0
"""After HTTP 418 without a ``Retry-After``: the shortest ban."""
FORBIDDEN_S = 600.0
"""After HTTP 403, of a firewall that refuses too many requests, and after HTTP 451, which refuses a region."""

REFUSALS = {-1121: "SymbolNotFound", -1120: "ChannelNotOffered"}
"""Errors about one stream. Perpetuals have no candles of a second, which is an invalid interval."""
TIME_CODES = frozenset({-1021})
KEY_CODES = {
    -1022: "the signature is wrong: secretKey does not belong to apiKey",
    -2014: "the API key is malformed",
    -2015: "the API key is not known, or lacks the permission, or is not allowed from this IP address",
}
TOO_MANY_CODES = frozenset({-1003})
TEMPORARY = frozenset({-1000, -1001, -1006, -1007, -1008, -1016})
"""Internal errors, overload, timeouts and a service that shuts down."""
_KINDS = (
    dict.fromkeys(KEY_CODES, ProblemKind.KEY)
    | dict.fromkeys(TIME_CODES, ProblemKind.CLOCK)
    | dict.fromkeys(TEMPORARY, ProblemKind.SERVER)
    | dict.fromkeys(REFUSALS, ProblemKind.NO_SYMBOL)
)


class Problem(msgspec.Struct, gc=False):
    """``{"code":-1121,"msg":"Invalid symbol."}``."""

    code: int
    msg: str = ""


read_problem = msgspec.json.Decoder(Problem).decode


def problem_of(status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
    """Return the problem that an answer reports; None for HTTP 200.

    A ban is never cut short: each request during it makes it longer.
    """
    match status:
        case _ if status == HTTP_OK:
            return None
        case _ if status == BANNED:
            return RestProblem(ProblemKind.BANNED, requested_pause_s(headers, BAN_S))
        case _ if excludes_region(status, body):
            return RestProblem(ProblemKind.REGION, requested_pause_s(headers, FORBIDDEN_S))
        case _ if status == FORBIDDEN:
            return RestProblem(ProblemKind.BUSY, requested_pause_s(headers, FORBIDDEN_S))
    code = _code(body)
    if status == TOO_MANY or code in TOO_MANY_CODES:
        return RestProblem(ProblemKind.BUSY, requested_pause_s(headers, BUSY_PAUSE_S))
    kind = _KINDS.get(code)
    return problem_of_status(status, headers, BUSY_PAUSE_S) if kind is None else RestProblem(kind)


def _code(body: bytes) -> int:
    try:
        return read_problem(body).code
    except UNREADABLE:
        return 0
