"""Meaning of Binance's errors over REST."""

import json

import pytest

from market_collector.exchanges.binance.errors import BAN_S, BUSY_PAUSE_S, FORBIDDEN_S
from market_collector.exchanges.binance.rest import BinanceRestApi
from market_collector.exchanges.interface import ProblemKind, RestProblem

refusal = BinanceRestApi().refusal


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-1121, ProblemKind.NO_SYMBOL),
        (-1021, ProblemKind.CLOCK),
        *((code, ProblemKind.KEY) for code in (-1022, -2014, -2015)),
        *((code, ProblemKind.SERVER) for code in (-1000, -1001, -1006, -1007, -1008, -1016)),
        (-1100, ProblemKind.BUG),
    ],
)
def test_code_decides_about_errors_of_the_request(code: int, kind: ProblemKind) -> None:
    assert refusal(400, {}, json.dumps({"code": code, "msg": "..."}).encode()) == RestProblem(kind)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_server_errors_are_temporary(status: int) -> None:
    assert refusal(status, {}, b"<html>") == RestProblem(ProblemKind.SERVER)


def test_too_many_requests_wait_as_long_as_the_exchange_says() -> None:
    busy = b'{"code":-1003,"msg":"Too many requests"}'
    assert refusal(429, {"retry-after": "37"}, busy) == RestProblem(ProblemKind.BUSY, 37.0)
    assert refusal(429, {}, busy) == refusal(400, {}, busy) == RestProblem(ProblemKind.BUSY, BUSY_PAUSE_S)


def test_a_ban_is_never_cut_short() -> None:
    banned = b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1700000000000."}'
    assert refusal(418, {"retry-after": "259200"}, banned) == RestProblem(ProblemKind.BANNED, 259_200.0)
    assert refusal(418, {}, banned) == RestProblem(ProblemKind.BANNED, BAN_S)


EXCLUDED = b'{"code":0,"msg":"Service unavailable from a restricted location according to \'b. Eligibility\'"}'


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"<html>", ProblemKind.BUSY),
        (403, EXCLUDED, ProblemKind.REGION),
        (403, b"configured to block access from your country.", ProblemKind.REGION),
        (451, EXCLUDED, ProblemKind.REGION),
        (451, b"", ProblemKind.REGION),
    ],
)
def test_refusal_of_the_firewall_stops_requests_for_long(status: int, body: bytes, kind: ProblemKind) -> None:
    assert refusal(status, {}, body) == RestProblem(kind, FORBIDDEN_S)


def test_answer_without_an_error_has_no_problem() -> None:
    assert refusal(200, {}, b"{}") is None


@pytest.mark.parametrize(
    ("bucket", "headers", "share"),
    [
        ("", {"x-mbx-used-weight-1m": "4800"}, 0.8),
        ("perpetual", {"x-mbx-used-weight-1m": "1920"}, 0.8),
        ("", {}, 0.0),
        ("perpetual", {}, 0.0),
    ],
)
def test_used_weight_is_a_share_of_the_minute(bucket: str, headers: dict[str, str], share: float) -> None:
    assert BinanceRestApi().used_share(bucket, headers) == share
