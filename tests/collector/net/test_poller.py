"""Polled routes over HTTP: candles beside a connection, and an account whose requests are signed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from imaginary_polls import BALANCES, CANDLES, closed, polling_exchange
from imaginary_server import collection, imaginary_server, trades
from imaginary_signers import KEY, Signatures, has_signed_query
from market_collector.exchanges.interface import ProblemKind, RestProblem
from market_collector.model.events import Balance, Candle, Connected, Disconnected, Trade
from market_collector.model.streams import ConnectionState, StreamState
from market_collector.net import login
from market_collector.telemetry.report import _polled
from rest_apis import Received, Scripted, serving


async def test_route_is_polled_beside_a_connection() -> None:
    def answer(path: str, headers: dict[str, str], body: bytes) -> Scripted:
        return 200, {}, closed([5, 6], 7)

    async with imaginary_server() as server:
        with serving(answer) as rest:
            exchange = polling_exchange(rest, server.websocket)
            async with collection(exchange, CANDLES, *trades("BTC-USDT"), endpoint_rest="") as running:
                (link,), (poller,) = running.supervisor.links, running.supervisor.pollers
                await running.comes(lambda: running.ledger.streams[CANDLES].state is StreamState.LIVE)
                await running.is_complete()
                shown = msgspec.to_builtins(_polled(poller))
    assert (link.name, shown["name"], shown["kind"], shown["state"]) == ("all", "polled", "poll", "connected")
    assert {type(record) for record in running.records} >= {Trade, Candle, Connected}
    assert server.paths == ["/all"]
    assert poller.state is ConnectionState.STOPPED
    ended = [record for record in running.records if isinstance(record, Disconnected)]
    assert {str(CANDLES)} in [set(record.streams or ()) for record in ended]


async def test_failed_requests_are_the_reason_of_the_route() -> None:
    answers: list[Scripted] = [(503, {}, b"maintenance")]
    with serving(lambda path, headers, body: answers[0]) as rest:
        async with collection(polling_exchange(rest), CANDLES, endpoint_rest="", stale_after_s=0.2) as running:
            (poller,) = running.supervisor.pollers
            await running.comes(lambda: "HTTP 503" in poller.reason)
            assert poller.state is not ConnectionState.CONNECTED
            answers[0] = (200, {}, closed([5], 6))
            await running.comes(lambda: poller.state is ConnectionState.CONNECTED)
            assert poller.reason == ""


async def test_exclusion_of_the_region_is_in_the_status_of_the_route(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda path, headers, body: (451, {}, b"")) as rest:
        exchange = polling_exchange(rest)
        problem = RestProblem(ProblemKind.REGION, 600.0)
        monkeypatch.setattr(exchange.rest_api, "refusal", lambda status, headers, body: problem)
        async with collection(exchange, CANDLES, endpoint_rest="") as running:
            (poller,) = running.supervisor.pollers
            await running.comes(lambda: poller.problem)
            assert _polled(poller).problem == "RegionRestricted"
            assert ": RegionRestricted: HTTP 451" in poller.reason


async def test_account_is_polled_with_signatures_once_there_is_a_key(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(login, "POLL_S", 0.01)
    received = Received()

    def answer(path: str, headers: dict[str, str], body: bytes) -> Scripted:
        return 200, {}, b'{"BTC":"1"}'

    with serving(answer, received) as rest:
        exchange = polling_exchange(rest, signer=Signatures)
        fields: dict[str, Any] = {"credentials_directory": tmp_path, "endpoint_rest": ""}
        async with collection(exchange, BALANCES, **fields) as running:
            progress = running.ledger.streams[BALANCES]
            await running.comes(lambda: progress.reason == "CredentialsMissing")
            for name, text in KEY.items():
                (tmp_path / name).write_text(text)
            await running.comes(lambda: progress.state is StreamState.LIVE)
    paths = [path for _, path, _ in received if path.startswith("/account")]
    assert paths
    assert all(has_signed_query(path) for path in paths)
    assert [record.asset for record in running.records if isinstance(record, Balance)] == ["BTC"]
