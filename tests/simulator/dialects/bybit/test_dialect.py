"""A program that speaks Bybit's dialect, and an ordinary client."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.simulator

MARKET = ("--exchange", "bybit", "--market", "7", "--symbols", "BTC-USDT,BTC-USDT-PERP", "--rate", "100")
SYMBOLS = {"spot": "BTC-USDT", "linear": "BTC-USDT-PERP"}
RECORDINGS = Path(__file__).parents[3] / "recordings" / "bybit"
SECRET = b"simulator-secret-key"


@pytest_asyncio.fixture
async def dial() -> AsyncIterator[Callable[..., Any]]:
    """Open connections that are closed after the test."""
    open_ones: list[ClientConnection] = []

    async def open_one(program: Any, path: str) -> ClientConnection:
        options: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.1, "compression": None, "max_size": None}
        open_ones.append(await connect(f"{program.listen}/v5/{path}", **options))
        return open_ones[-1]

    yield open_one
    for socket in open_ones:
        await socket.close()


async def message(socket: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def of_topic(socket: ClientConnection, topic: str) -> Any:
    while True:
        if (found := await message(socket)).get("topic") == topic:
            return found


async def ask(socket: ClientConnection, op: str, *args: Any) -> None:
    await socket.send(json.dumps({"req_id": "1", "op": op, "args": args}))


async def rest(http: Any, program: Any, call: str, **headers: str) -> Any:
    async with http.get(f"{program.rest}/v5/{call}", headers=headers) as reply:
        return json.loads(await reply.text())


class Book:
    """A book by the documented procedure. `resyncs` counts the updates that do not follow."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, str]] = {"b": {}, "a": {}}
        self.update = self.sequence = self.resyncs = self.snapshots = 0

    def apply(self, found: Any) -> None:
        data = found["data"]
        if found["type"] == "snapshot":
            self.sides, self.snapshots = {"b": {}, "a": {}}, self.snapshots + 1
        elif data["u"] <= self.update:
            return
        elif data["u"] != self.update + 1:
            self.resyncs += 1
        for side in self.sides:
            self.sides[side] |= dict(data[side])
            self.sides[side] = {price: size for price, size in self.sides[side].items() if size != "0"}
        self.update, self.sequence = data["u"], data["seq"]

    async def equals(self, control: Any, symbol: str) -> bool:
        truth = await control.get(f"/truth/book?symbol={symbol}&sequence={self.sequence}")
        return all(
            {Decimal(price): Decimal(size) for price, size in self.sides[side].items()}
            == {Decimal(price): Decimal(size) for price, size in truth[name][: len(self.sides[side])]}
            for side, name in (("b", "bids"), ("a", "asks"))
        )


@pytest.mark.parametrize("category", ["spot", "linear"])
async def test_book_follows_the_truth_over_a_snapshot_and_a_restart(
    start: Any, control_of: Any, dial: Any, category: str
) -> None:
    program = start(*MARKET)
    control, socket, topic, book = control_of(program), await dial(program, f"public/{category}"), "", Book()
    topic = "orderbook.50.BTCUSDT"
    await ask(socket, "subscribe", topic)

    async def read(snapshots: int, resyncs: int) -> None:
        """Read until so many snapshots and resyncs have come, and then 20 updates more."""
        left = 20
        while left:
            left -= (book.snapshots, book.resyncs) == (snapshots, resyncs)
            book.apply(await of_topic(socket, topic))
        assert (book.snapshots, book.resyncs) == (snapshots, resyncs)
        assert len(book.sides["b"]) == len(book.sides["a"]) == 50
        assert await book.equals(control, SYMBOLS[category])

    await read(snapshots=1, resyncs=0)
    assert (await control.post("/faults/resend", channel="orderbook", symbol=SYMBOLS[category]))["sent"] == 1
    await read(snapshots=2, resyncs=0)
    before = book.update
    await control.post("/faults/sequence-reset", symbol=SYMBOLS[category])
    await read(snapshots=3, resyncs=0)
    assert book.update < before
    await control.post("/faults/sequence-jump", symbol=SYMBOLS[category])
    await read(snapshots=3, resyncs=1)


async def test_lost_update_is_a_gap_and_named(start: Any, control_of: Any, dial: Any) -> None:
    program = start(*MARKET)
    control, socket, book = control_of(program), await dial(program, "public/linear"), Book()
    await ask(socket, "subscribe", "orderbook.200.BTCUSDT")
    book.apply(await of_topic(socket, "orderbook.200.BTCUSDT"))
    await control.post("/faults/lose", channel="orderbook", symbol="BTC-USDT-PERP", count=1, after=3)
    while not book.resyncs:
        before = book.update
        book.apply(await of_topic(socket, "orderbook.200.BTCUSDT"))
    (lost,) = await control.get("/truth/lost?channel=orderbook")
    assert (lost["channel"], lost["update"]) == ("orderbook.200", before + 1)
    await ask(socket, "unsubscribe", "orderbook.200.BTCUSDT")
    await ask(socket, "subscribe", "orderbook.200.BTCUSDT")
    while (found := await of_topic(socket, "orderbook.200.BTCUSDT"))["type"] != "snapshot":
        pass
    book.apply(found)
    assert await book.equals(control, "BTC-USDT-PERP")


@pytest.mark.parametrize("category", ["spot", "linear"])
async def test_lost_fills_are_found_among_the_recent_trades(
    start: Any, http: Any, control_of: Any, dial: Any, category: str
) -> None:
    """The ids do not show that they are missing."""
    program = start(*MARKET[:-1], "20")  # so that 60 trades take seconds
    control, socket = control_of(program), await dial(program, f"public/{category}")
    await ask(socket, "subscribe", "publicTrade.BTCUSDT")
    seen = {row["i"] for row in (await of_topic(socket, "publicTrade.BTCUSDT"))["data"]}
    await control.post("/faults/lose", channel="trade", symbol=SYMBOLS[category], count=2)
    while len(await control.get("/truth/lost?channel=trade")) < 2:
        seen |= {row["i"] for row in (await of_topic(socket, "publicTrade.BTCUSDT"))["data"]}
    seen |= {row["i"] for row in (await of_topic(socket, "publicTrade.BTCUSDT"))["data"]}
    lost = await control.get("/truth/lost?channel=trade")
    wanted = f"/truth/trades?symbol={SYMBOLS[category]}&from={lost[0]['firstTradeId']}&to={lost[-1]['lastTradeId']}"
    missing = {row["execId"] for row in await control.get(wanted)} - seen
    assert missing
    answer = await rest(http, program, f"market/recent-trade?category={category}&symbol=BTCUSDT&limit=60")
    assert missing <= {row["execId"] for row in answer["result"]["list"]}


async def updates(socket: ClientConnection, has_come: Callable[[list[int]], bool]) -> list[int]:
    """The numbers of the messages of a book until the event, and of 20 more; 0 for an unreadable one."""
    found: list[int] = []
    left = 20
    while left:
        left -= has_come(found)
        try:
            data = (await message(socket)).get("data")
            found += [data["u"]] if data else []
        except ValueError:
            found.append(0)
    return found


def steps_of(numbers: list[int]) -> set[int]:
    return {after - before for before, after in pairwise(numbers)}


@pytest.mark.parametrize("category", ["spot", "linear"])
@pytest.mark.parametrize(
    ("fault", "fields", "steps"),
    [
        ("duplicate", {"count": 1}, {0, 1}),
        ("reorder", {"count": 2}, {-1, 1, 2}),
        ("lose", {"count": 2}, {1, 3}),
    ],
)
async def test_message_faults_act_on_a_book(
    start: Any, control_of: Any, dial: Any, category: str, fault: str, fields: dict[str, Any], steps: set[int]
) -> None:
    program = start(*MARKET)
    socket = await dial(program, f"public/{category}")
    await ask(socket, "subscribe", "orderbook.50.BTCUSDT")
    await of_topic(socket, "orderbook.50.BTCUSDT")
    await control_of(program).post(f"/faults/{fault}", channel="orderbook", after=5, **fields)
    found = await updates(socket, lambda found: steps_of(found) >= steps)
    assert steps_of(found) == steps


@pytest.mark.parametrize("fields", [{"damage": "json"}, {"cut": "text"}])
async def test_damaged_messages_are_no_json(start: Any, control_of: Any, dial: Any, fields: dict[str, Any]) -> None:
    program = start(*MARKET)
    socket = await dial(program, "public/linear")
    await ask(socket, "subscribe", "orderbook.50.BTCUSDT")
    await of_topic(socket, "orderbook.50.BTCUSDT")
    name = "corrupt" if "damage" in fields else "truncate"
    await control_of(program).post(f"/faults/{name}", channel="orderbook", count=1, **fields)
    assert (await updates(socket, lambda found: 0 in found)).count(0) == 1


@pytest.mark.parametrize("topic", ["publicTrade", "orderbook.50", "tickers", "kline.1"])
async def test_damaged_number_is_valid_json(start: Any, control_of: Any, dial: Any, topic: str) -> None:
    program = start(*MARKET)
    control, socket = control_of(program), await dial(program, "public/linear")
    await ask(socket, "subscribe", f"{topic}.BTCUSDT")
    await control.post("/faults/corrupt", channel=topic, damage="value", count=1)
    while '"x' not in json.dumps(await of_topic(socket, f"{topic}.BTCUSDT")):
        pass


async def test_liquidations_are_a_topic_of_linear_only(start: Any, dial: Any) -> None:
    program = start(*MARKET)
    spot, linear = await dial(program, "public/spot"), await dial(program, "public/linear")
    await ask(spot, "subscribe", "allLiquidation.BTCUSDT")
    assert (await message(spot))["ret_msg"] == "error:handler not found,topic:allLiquidation.BTCUSDT"
    await ask(linear, "subscribe", "allLiquidation.BTCUSDT")
    assert (await of_topic(linear, "allLiquidation.BTCUSDT"))["data"][0]["s"] == "BTCUSDT"


async def test_delisted_symbol_is_refused_and_unknown(start: Any, http: Any, control_of: Any, dial: Any) -> None:
    program = start(*MARKET)
    await control_of(program).post("/faults/delist", symbol="BTC-USDT", seconds=60)
    spot, linear = await dial(program, "public/spot"), await dial(program, "public/linear")
    await ask(spot, "subscribe", "tickers.BTCUSDT")
    assert (await message(spot))["ret_msg"] == "Invalid symbol :[tickers.BTCUSDT]"
    await ask(linear, "subscribe", "tickers.BTCUSDT")
    await of_topic(linear, "tickers.BTCUSDT")
    assert (await rest(http, program, "market/kline?category=spot&symbol=BTCUSDT&interval=1"))["retCode"] == 10001


async def test_auction_shows_in_book_and_status(start: Any, http: Any, control_of: Any, dial: Any) -> None:
    program = start(*MARKET)
    control, socket, book = control_of(program), await dial(program, "public/linear"), Book()
    await ask(socket, "subscribe", "orderbook.200.BTCUSDT")
    await control.post("/faults/crossed", symbol="BTC-USDT-PERP", seconds=60, preopen=True)
    while not book.sides["a"] or max(map(Decimal, book.sides["b"])) < min(map(Decimal, book.sides["a"])):
        book.apply(await of_topic(socket, "orderbook.200.BTCUSDT"))
    (row,) = (await rest(http, program, "market/instruments-info?category=linear"))["result"]["list"]
    assert row["status"] == "PreLaunch"


async def test_refused_login_has_the_message_of_the_fault(start: Any, control_of: Any, dial: Any) -> None:
    program = start(*MARKET)
    socket = await dial(program, "private")
    await control_of(program).post("/faults/login-error", code="33004", count=1)
    await ask(socket, "auth", "key", 1, "sign")
    assert (await message(socket))["ret_msg"] == "Your api key has expired."
    with pytest.raises(ConnectionClosed):
        await message(socket)


async def test_connections_answer_pings_and_end_without_them(start: Any, dial: Any) -> None:
    """The limit of silence is 20 times the option, so 2 s."""
    program = start(*MARKET, "--silence-limit", "0.1")
    silent, lively, opened = await dial(program, "public/spot"), await dial(program, "public/linear"), time.monotonic()
    async with asyncio.timeout(15):
        while silent.close_code is None:
            await lively.send('{"op":"ping"}')
            assert (await message(lively))["ret_msg"] == "pong"
            await asyncio.sleep(0.1)
    assert time.monotonic() - opened > 1.5
    with pytest.raises(ConnectionClosed) as ended:
        await silent.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1000
    await lively.send('{"op":"ping"}')
    assert (await message(lively))["op"] == "ping"


async def test_wallet_has_changes_only_and_needs_rest_for_the_rest(
    start: Any, http: Any, control_of: Any, dial: Any
) -> None:
    program = start(*MARKET, "--start", "now")
    control, socket = control_of(program), await dial(program, "private?max_active_time=1m")
    expires = time.time_ns() // 1_000_000 + 10_000
    sign = hmac.new(SECRET, f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    await ask(socket, "auth", "simulator-api-key", expires, sign)
    assert (await message(socket))["success"]
    await ask(socket, "subscribe", "wallet")
    assert (await message(socket))["op"] == "subscribe"
    await control.post("/account/holding", asset="BTC", total="3", frozen="1")
    changed = await message(socket)
    assert [(c["coin"], c["walletBalance"], c["locked"]) for c in changed["data"][0]["coin"]] == [("BTC", "3", "1")]
    stamp, query = str(time.time_ns() // 1_000_000), "accountType=UNIFIED"
    text = f"{stamp}simulator-api-key5000{query}"
    headers = {
        "X-BAPI-API-KEY": "simulator-api-key", "X-BAPI-TIMESTAMP": stamp, "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest(),
    }  # fmt: skip
    answer = await rest(http, program, f"account/wallet-balance?{query}", **headers)
    held = {coin["coin"]: coin["walletBalance"] for coin in answer["result"]["list"][0]["coin"]}
    assert held == {"BTC": "3", "ETH": "12.5", "USDT": "4750.42"}
    assert (await rest(http, program, f"account/wallet-balance?{query}&coin=BTC", **headers))["retCode"] == 10004
    await control.post("/account/key", apiKey="new")
    async with asyncio.timeout(10):
        await socket.wait_closed()


async def test_skewed_clock_shows_in_data_and_time(start: Any, http: Any, control_of: Any, dial: Any) -> None:
    program = start(*MARKET)
    socket = await dial(program, "public/linear")
    before = int((await rest(http, program, "market/time"))["result"]["timeNano"])
    await control_of(program).post("/faults/skew", milliseconds=3_600_000, seconds=60)
    shifted = (await rest(http, program, "market/time"))["result"]
    after = int(shifted["timeNano"])
    assert 3_600 <= (after - before) / 1e9 < 3_630
    assert after // 10**9 == int(shifted["timeSecond"])
    await ask(socket, "subscribe", "orderbook.50.BTCUSDT")
    data = await of_topic(socket, "orderbook.50.BTCUSDT")
    assert data["ts"] * 1_000_000 > before + 3_500 * 10**9


async def test_banned_address_gets_403_with_the_reason(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control = control_of(program)

    async def answer() -> tuple[int, str, bool]:
        async with http.get(f"{program.rest}/v5/market/time") as reply:
            return reply.status, await reply.text(), "Retry-After" in reply.headers

    await control.post("/faults/ban", seconds=30)
    assert await answer() == (403, "access too frequent", True)
    await control.call("DELETE", "/faults/ban")
    await control.post("/faults/ban", seconds=30, region=True)
    status, text, has_end = await answer()
    assert (status, "your country" in text, has_end) == (403, True, False)
    with pytest.raises(InvalidStatus, match="403") as refused:
        await connect(f"{program.listen}/v5/public/spot")
    assert (refused.value.response.body or b"").decode() == text


async def test_rest_answers_an_error_code_in_the_envelope(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    await control_of(program).post("/faults/rest", path="market/recent-trade", code="10006", count=1)
    call = "market/recent-trade?category=spot&symbol=BTCUSDT"
    answers = [await rest(http, program, call) for _ in range(2)]
    assert [(found["retCode"], found["retMsg"]) for found in answers] == [(10006, "Too many visits!"), (0, "OK")]


async def test_connections_are_limited_in_five_minutes(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET, "--connection-limit", "2")
    for _ in range(2):
        await dial(program, "public/spot")
    await asyncio.sleep(1.1)  # on OKX the window would be over
    with pytest.raises(InvalidStatus, match="429"):
        await dial(program, "public/linear")
    counters = (await control_of(program).get("/state"))["counters"]
    assert (counters["refusedHandshakes"], counters["exceeded"]) == (1, {"connections": 1})


async def test_notice_is_silent_and_then_the_connection_ends(start: Any, control_of: Any, dial: Any) -> None:
    program = start(*MARKET)
    socket = await dial(program, "public/spot")
    await control_of(program).post("/faults/notice", seconds=0.2)
    with pytest.raises(ConnectionClosed):
        await message(socket)


@pytest.mark.parametrize(
    ("name", "category", "topics"),
    [
        (
            "ws_spot_testnet_2026-09-13_btcusdt",
            "spot",
            ("orderbook.50.BTCUSDT", "orderbook.1.BTCUSDT", "publicTrade.BTCUSDT"),
        ),
        ("archive_ob500_2024-12-01_xrpusdt_part1", "linear", ("orderbook.500.XRPUSDT",)),
        ("ws_linear_tickers_2026-09-30_btcusdt", "linear", ("tickers.BTCUSDT",)),
    ],
)
async def test_client_of_a_replay_gets_the_recorded_bytes(
    start: Any, dial: Any, name: str, category: str, topics: tuple[str, ...]
) -> None:
    file = RECORDINGS / f"{name}.jsonl"
    entries = map(json.loads, file.read_text().splitlines())
    recorded = [entry["raw"] for entry in entries if '"topic"' in entry["raw"]]
    replay = ("--exchange", "bybit", "--replay", str(file), "--speed", "max", "--start", "recorded")
    socket = await dial(start(*replay), f"public/{category}")
    await ask(socket, "subscribe", *topics)
    texts: list[str] = []
    async with asyncio.timeout(20):
        while len(texts) < len(recorded):
            text = str(await socket.recv())
            texts += [text] if '"topic"' in text else []
    assert texts == recorded
