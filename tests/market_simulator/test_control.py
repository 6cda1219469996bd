"""Truth and faults, over the control address of a running simulator."""

import asyncio
import json
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.simulator

MARKET = ("--market", "7", "--symbols", "BTC-USDT,ETH-USDT", "--rate", "200")
QUIET = ("--market", "7", "--symbols", "BTC-USDT", "--rate", "0.001")


def is_data(channel: str) -> Any:
    return lambda message: message.get("arg", {}).get("channel") == channel and "data" in message


class Control:
    """The control address of one program."""

    def __init__(self, program: Any, http: Any) -> None:
        self.url, self.http = program.control, http

    async def call(self, method: str, call: str, expected: int = 200, /, **body: Any) -> Any:
        async with self.http.request(method, f"{self.url}{call}", data=json.dumps(body) if body else None) as reply:
            text = await reply.text()
            assert reply.status == expected, text
            lines = [json.loads(line) for line in text.splitlines()]
        return lines if reply.content_type == "application/x-ndjson" else lines[0]

    async def get(self, call: str, expected: int = 200) -> Any:
        return await self.call("GET", call, expected)

    async def post(self, call: str, expected: int = 200, /, **body: Any) -> Any:
        return await self.call("POST", call, expected, **body)


async def test_health_and_state_are_told(start: Any, dial: Any, http: Any) -> None:
    program = start(*QUIET)
    control, client = Control(program, http), await dial(program, "business")
    await client.subscribe("candle1m:BTC-USDT", "trades-all:BTC-USDT")
    await client.messages(3)
    assert await control.get("/healthz") == {"status": "ok"}
    state = await control.get("/state")
    (connection,) = state["connections"]
    assert (connection["path"], connection["framesSent"], connection["requests"]) == ("/ws/v5/business", 3, 1)
    assert connection["subscriptions"] == [
        {"channel": "candle1m", "instId": "BTC-USDT"}, {"channel": "trades-all", "instId": "BTC-USDT"},
    ]  # fmt: skip
    assert (state["counters"]["connections"], state["counters"]["frames"]) == (1, 3)


async def test_books_rebuilt_by_a_client_are_the_truth_at_every_sequence(start: Any, dial: Any, http: Any) -> None:
    program = start(*MARKET)
    control, client = Control(program, http), await dial(program)
    await client.subscribe("books:BTC-USDT")
    book: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for place in range(120):
        row = (await client.until(is_data("books")))["data"][0]
        for side, levels in book.items():
            levels.update({price: size for price, size, _, _ in row[side]})
            book[side] = {price: size for price, size in levels.items() if size != "0"}
        if place % 8 == 0:
            truth = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={row['seqId']}")
            assert {side: dict(truth[side]) for side in book} == book
            assert (truth["sequence"], truth["ts"]) == (row["seqId"], row["ts"])
    error = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={row['seqId'] + 1_000_000}", 404)
    assert "never published" in error["error"]


async def test_all_fills_and_merged_trades_can_be_read(start: Any, dial: Any, http: Any) -> None:
    program = start(*MARKET)
    control, client = Control(program, http), await dial(program)
    await client.subscribe("trades:BTC-USDT")
    rows = [row for _ in range(30) for row in (await client.until(is_data("trades")))["data"]]
    first, last = int(rows[0]["tradeId"]) - int(rows[0]["count"]) + 1, int(rows[-1]["tradeId"])
    fills = await control.get(f"/truth/trades?symbol=BTC-USDT&from={first}&to={last}")
    assert [int(fill["tradeId"]) for fill in fills] == list(range(first, last + 1))
    assert await control.get(f"/truth/trades/merged?symbol=BTC-USDT&from={first}&to={last}") == rows
    summary = (await control.get("/truth/summary"))["symbols"]["BTC-USDT"]
    everything = await control.get("/truth/trades?symbol=BTC-USDT")
    assert int(everything[0]["tradeId"]) == summary["firstTradeId"]
    assert int(everything[-1]["tradeId"]) >= summary["lastTradeId"]
    sequences = await control.get("/truth/sequences?symbol=BTC-USDT")
    assert [row["previous"] for row in sequences[1:]] == [row["sequence"] for row in sequences[:-1]]
    assert "is not kept" in (await control.get("/truth/trades?symbol=BTC-USDT&from=1", 404))["error"]


async def test_drop_closes_with_a_code_or_aborts_and_tells_how_many(start: Any, dial: Any, http: Any) -> None:
    program = start(*QUIET)
    control = Control(program, http)
    public, business = await dial(program), await dial(program, "business")
    assert await control.post("/faults/drop", path="public", code=4005) == {"dropped": 1}
    with pytest.raises(ConnectionClosed, match="4005"):
        await public.text()
    assert await control.post("/faults/drop") == {"dropped": 1}
    with pytest.raises(ConnectionClosed, match="no close frame received"):
        await business.text()
    assert await control.post("/faults/drop") == {"dropped": 0}
    await dial(program)


async def test_lost_messages_break_the_chain_by_exactly_their_number(start: Any, dial: Any, http: Any) -> None:
    program = start(*MARKET)
    control, client = Control(program, http), await dial(program)
    await client.subscribe("trades:BTC-USDT", "trades:ETH-USDT")
    await client.until(lambda m: is_data("trades")(m) and m["arg"]["instId"] == "BTC-USDT")
    assert await control.post("/faults/lose", channel="trades", symbol="BTC-USDT", count=2) == {"losing": 2}
    await client.messages(60)
    seen: dict[str, list[int]] = {"BTC-USDT": [], "ETH-USDT": []}
    for message in map(json.loads, client.frames):
        for row in message.get("data", ()):
            last = int(row["tradeId"])
            seen[message["arg"]["instId"]] += range(last - int(row["count"]) + 1, last + 1)
    missing = {name: sorted(set(range(ids[0], ids[-1])) - set(ids)) for name, ids in seen.items()}
    assert missing["ETH-USDT"] == []
    lost = await control.get(
        f"/truth/trades/merged?symbol=BTC-USDT&from={missing['BTC-USDT'][0]}&to={missing['BTC-USDT'][-1]}"
    )
    assert sum(int(row["count"]) for row in lost) == len(missing["BTC-USDT"])
    assert len({row["ts"] for row in lost}) == 2
    assert await control.get("/faults") == []


async def test_silence_keeps_the_socket_open_and_ends_in_time(start: Any, dial: Any, http: Any) -> None:
    program = start(*MARKET, "--silence-limit", "0.3")
    control, client = Control(program, http), await dial(program)
    await client.subscribe("trades:BTC-USDT")
    await client.until(is_data("trades"))
    begun = time.monotonic()
    await control.post("/faults/silence", seconds=0.8)
    await client.socket.send("ping")
    longest = 0.0
    while time.monotonic() < begun + 1.2:
        waiting = time.monotonic()
        await client.message()
        longest = max(longest, time.monotonic() - waiting)
    assert longest > 0.6


async def test_silence_of_one_stream_leaves_the_others(start: Any, dial: Any, http: Any) -> None:
    program = start(*MARKET)
    control, client = Control(program, http), await dial(program)
    await client.subscribe("trades:BTC-USDT", "trades:ETH-USDT")
    await control.post("/faults/silence", seconds=60, channel="trades", symbol="BTC-USDT")
    await asyncio.sleep(0.1)
    await client.socket.send("ping")
    while await client.text() != "pong":
        pass
    heard = [(await client.message())["arg"]["instId"] for _ in range(30)]
    assert set(heard) == {"ETH-USDT"}
    assert (await control.get("/faults"))[0]["fault"] == "silence"
    assert await control.call("DELETE", "/faults") == {"ended": 1}
    assert (await client.until(lambda m: m["arg"]["instId"] == "BTC-USDT"))["data"]


async def test_refused_handshakes_are_counted(quiet: Any, dial: Any, http: Any) -> None:
    program = quiet
    control = Control(program, http)
    before = (await control.get("/state"))["counters"]["refusedHandshakes"]
    await control.post("/faults/refuse", seconds=60, status=403)
    with pytest.raises(InvalidStatus) as refused:
        await dial(program)
    assert refused.value.response.status_code == 403
    assert (await control.get("/state"))["counters"]["refusedHandshakes"] == before + 1
    await control.call("DELETE", "/faults")
    await dial(program)


async def test_a_raw_frame_is_sent_exactly(start: Any, dial: Any, http: Any) -> None:
    program = start(*QUIET)
    control = Control(program, http)
    public, business = await dial(program), await dial(program, "business")
    garbage = '{"arg":{"channel":"boo\u0000'
    assert await control.post("/faults/raw", frame=garbage, path="public") == {"sent": 1}
    assert await public.text() == garbage
    await business.socket.send("ping")
    assert await business.text() == "pong"


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("drop", {"path": "nowhere"}, "not one of public, business, private, null"),
        ("drop", {"code": "4004"}, "code must be of type int"),
        ("lose", {"channel": "trades"}, "lose needs"),
        ("silence", {}, "seconds must be a number"),
        ("silence", {"seconds": -1}, "seconds must be a number"),
        ("refuse", {"seconds": 1, "status": 200}, "refuses nothing"),
        ("raw", {}, "raw needs"),
    ],
)
async def test_senseless_faults_are_refused_with_a_reason(
    quiet: Any, http: Any, path: str, body: Any, why: str
) -> None:
    control = Control(quiet, http)
    assert why in (await control.post(f"/faults/{path}", 400, **body))["error"]


async def test_unknown_symbols_and_bad_numbers_are_refused_with_a_reason(quiet: Any, http: Any) -> None:
    control = Control(quiet, http)
    assert "it has BTC-USDT" in (await control.get("/truth/book?symbol=NO-NO&sequence=1", 404))["error"]
    assert "not a whole number" in (await control.get("/truth/trades?symbol=BTC-USDT&from=x", 400))["error"]
    async with control.http.post(f"{control.url}/faults/raw", data="[]") as reply:
        assert reply.status == 400
    async with control.http.post(f"{control.url}/faults/raw", data="{") as reply:
        assert reply.status == 400
