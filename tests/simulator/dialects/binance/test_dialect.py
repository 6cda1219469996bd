"""A program that speaks Binance's dialect, and an ordinary client."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.simulator

RECORDINGS = Path(__file__).parents[3] / "recordings" / "binance"
MARKET = ("--exchange", "binance", "--market", "7", "--symbols", "BTC-USDT,ETH-USDT", "--rate", "200")


@pytest_asyncio.fixture
async def streams() -> AsyncIterator[Callable[..., Any]]:
    """Open connections that are closed after the test."""
    open_ones: list[ClientConnection] = []

    async def open_one(program: Any, path: str) -> ClientConnection:
        options: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.1, "compression": None, "max_size": None}
        open_ones.append(await connect(program.listen + path, **options))
        return open_ones[-1]

    yield open_one
    for socket in open_ones:
        await socket.close()


async def message(socket: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await socket.recv())


async def ended(socket: ClientConnection) -> ConnectionClosed:
    """Read until the connection ends."""
    while True:
        try:
            await message(socket)
        except ConnectionClosed as how:
            return how


async def depth(http: Any, program: Any) -> Any:
    async with http.get(f"{program.rest}/api/v3/depth?symbol=BTCUSDT&limit=5000") as reply:
        return await reply.json()


@pytest.mark.parametrize("connections", [1, 2, 3])
async def test_book_is_bridged_from_a_snapshot_that_lags(
    start: Any, http: Any, control_of: Any, streams: Any, connections: int
) -> None:
    """The documented procedure, on connections whose updates are cut differently."""
    program = start(*MARKET)
    control = control_of(program)
    for _ in range(connections):
        socket: ClientConnection = await streams(program, "/stream?streams=btcusdt@depth@100ms")
    waiting = [(await message(socket))["data"] for _ in range(2)]
    await control.post("/faults/rest", path="depth", stale=1_000_000, count=1)  # the oldest book that is kept
    assert (await depth(http, program))["lastUpdateId"] < waiting[0]["U"]  # too old: it must be fetched again
    snapshot = await depth(http, program)
    last, sides = (
        snapshot["lastUpdateId"],
        {side: dict(snapshot[name]) for side, name in (("b", "bids"), ("a", "asks"))},
    )
    applied = 0
    while applied < 20:
        update = waiting.pop(0) if waiting else (await message(socket))["data"]
        if update["u"] <= last:
            continue
        assert update["U"] <= last + 1 <= update["u"]
        for side, sizes in sides.items():
            sizes |= dict(update[side])
        last, applied = update["u"], applied + 1
    truth = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={last}")
    for side, name in (("b", "bids"), ("a", "asks")):
        held = {Decimal(price): Decimal(size) for price, size in sides[side].items() if Decimal(size)}
        assert held == {Decimal(price): Decimal(size) for price, size in truth[name]}


@pytest.mark.parametrize("connections", [1, 2, 3])
async def test_jump_of_the_sequence_is_between_two_updates(
    start: Any, control_of: Any, streams: Any, connections: int
) -> None:
    program = start(*MARKET)
    for _ in range(connections):
        socket: ClientConnection = await streams(program, "/stream?streams=btcusdt@depth@100ms")
    last = (await message(socket))["data"]["u"]
    await control_of(program).post("/faults/sequence-jump", symbol="BTC-USDT", by=5_000)
    while (update := (await message(socket))["data"])["U"] == last + 1:
        assert update["u"] - update["U"] < 5_000
        last = update["u"]
    assert update["U"] == last + 5_001


async def test_lost_fills_are_named_and_found_in_history(start: Any, http: Any, control_of: Any, streams: Any) -> None:
    program = start(*MARKET)
    control, socket = control_of(program), await streams(program, "/ws")
    await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
    assert await message(socket) == {"result": None, "id": 1}
    ids = [(await message(socket))["t"]]
    await control.post("/faults/lose", channel="trade", symbol="BTC-USDT", count=3, after=2)
    while ids[-1] - ids[0] == len(ids) - 1:
        ids.append((await message(socket))["t"])
    missing = list(range(ids[-2] + 1, ids[-1]))
    assert [row["firstTradeId"] for row in await control.get("/truth/lost?channel=trade")][: len(missing)] == missing
    url = f"{program.rest}/api/v3/historicalTrades?symbol=BTCUSDT&fromId={missing[0]}&limit={len(missing)}"
    async with http.get(url) as reply:
        assert [row["id"] for row in await reply.json()] == missing
    assert (await control.get("/state"))["connections"][0]["path"] == "/ws"


async def test_streams_of_the_url_start_without_an_answer(start: Any, streams: Any) -> None:
    program = start(*MARKET)
    raw = await streams(program, "/ws/btcusdt@trade/ethusdt@bookTicker")
    seen = [await message(raw) for _ in range(40)]
    assert {found.get("e") for found in seen} == {"trade", None}
    assert {found["s"] for found in seen} == {"BTCUSDT", "ETHUSDT"}


async def test_sixth_message_is_counted_and_closes_with_1008(start: Any, streams: Any, control_of: Any) -> None:
    program = start(*MARKET)
    socket = await streams(program, "/ws")
    for number in range(6):
        await socket.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{number}}}')
    how = (await ended(socket)).rcvd
    assert how is not None
    assert (how.code, how.reason) == (1008, "Too many requests")
    assert (await control_of(program).get("/state"))["counters"]["exceeded"]["messages a second"] >= 1


async def test_client_that_answers_pings_stays_until_the_end_of_its_life(start: Any, streams: Any) -> None:
    program = start(*MARKET, "--silence-limit", "0.6", "--life", "3")
    socket, started = await streams(program, "/ws/btcusdt@kline_1w"), time.monotonic()
    await ended(socket)
    assert 2.5 < time.monotonic() - started < 6
    assert socket.close_code == 1001


async def test_notice_precedes_the_end(start: Any, control_of: Any, streams: Any) -> None:
    program = start(*MARKET)
    combined, user = await streams(program, "/stream"), await streams(program, "/ws-api/v3")
    await control_of(program).post("/faults/notice", seconds=0.2)
    assert (await message(combined))["stream"] == "!serverShutdown"
    assert (await message(user))["event"]["e"] == "serverShutdown"
    await asyncio.wait_for(combined.wait_closed(), 5)


async def test_user_data_follow_the_account(start: Any, control_of: Any, streams: Any) -> None:
    program = start(*MARKET, "--start", "now")
    control, socket = control_of(program), await streams(program, "/ws-api/v3")
    params: dict[str, Any] = {"apiKey": "simulator-api-key", "timestamp": time.time_ns() // 1_000_000}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    signature = hmac.new(b"simulator-secret-key", text.encode(), hashlib.sha256).hexdigest()
    request = {"id": "1", "method": "userDataStream.subscribe.signature", "params": {**params, "signature": signature}}
    await socket.send(json.dumps(request))
    assert (await message(socket))["result"] == {"subscriptionId": 0}
    await control.post("/account/holding", asset="BTC", total="3", frozen="1")
    event = (await message(socket))["event"]
    assert event["B"] == [{"a": "BTC", "f": "2.00000000", "l": "1.00000000"}]
    await control.post("/account/key", apiKey="new")
    assert (await message(socket))["event"]["e"] == "eventStreamTerminated"


async def test_banned_address_gets_418(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    await control_of(program).post("/faults/ban", seconds=30)
    async with http.get(f"{program.rest}/api/v3/time") as reply:
        assert (reply.status, (await reply.json())["code"]) == (418, -1003)
        assert 0 < int(reply.headers["Retry-After"]) <= 30


@pytest.mark.parametrize("api", ["api/v3", "fapi/v1"])
async def test_client_in_an_excluded_country_gets_451(start: Any, http: Any, control_of: Any, api: str) -> None:
    program = start(*MARKET)
    await control_of(program).post("/faults/ban", seconds=30, region=True)
    async with http.get(f"{program.rest}/{api}/time") as reply:
        text = await reply.text()
        assert (reply.status, json.loads(text)["code"], "Retry-After" in reply.headers) == (451, 0, False)
    with pytest.raises(InvalidStatus, match="451") as refused:
        await connect(f"{program.listen}/ws")
    assert (refused.value.response.body or b"").decode() == text
    assert "from a restricted location" in text


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (
            "ws_spot_2021-10-12_nknusdt_part1_blzeth",
            "/stream?streams=nknusdt@depth@100ms/blzeth@depth@100ms/nknusdt@bookTicker/blzeth@bookTicker"
            "/nknusdt@kline_1m/blzeth@kline_1m/nknusdt@aggTrade/blzeth@aggTrade",
        ),
        ("ws_spot_testnet_2026-09-13_btcusdt", "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"),
        ("ws_spot_2026-08-22_kline_snippet", "/ws/btcusdt@kline_1m"),
        ("ws_usdm_demo_2026-09-15_btcusdt_part1", "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker"),
        ("ws_usdm_2026-09-30_markprice", "/market/stream?streams=btcusdt@markPrice@1s/ethusdt@markPrice@1s"),
    ],
)
async def test_client_of_a_replay_gets_the_recorded_bytes(start: Any, streams: Any, name: str, path: str) -> None:
    file = RECORDINGS / f"{name}.jsonl"
    entries = map(json.loads, file.read_text().splitlines())
    recorded = [entry["raw"] for entry in entries if entry["url"].startswith("wss")]
    replay = ("--exchange", "binance", "--replay", str(file), "--speed", "max", "--start", "recorded")
    socket = await streams(start(*replay), path)
    async with asyncio.timeout(20):
        assert [await socket.recv() for _ in recorded] == recorded
