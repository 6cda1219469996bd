"""Every fault, requested at the control address of a running simulator and observed by an ordinary client."""

import asyncio
import contextlib
import json
import pathlib
import socket
import ssl
import time
from itertools import groupby, pairwise
from random import Random
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus, WebSocketException

import tls
from market_simulator.serving.fault_calls import CALLS

pytestmark = pytest.mark.simulator

MARKET = ("--market", "7", "--symbols", "BTC-USDT,ETH-USDT", "--rate", "200")
QUIET = ("--market", "7", "--symbols", "BTC-USDT", "--rate", "0.001")
A_SECOND = 65  # about one second of trade messages of a symbol in `MARKET`


def is_data(channel: str, symbol: str | None = None) -> Any:
    def wanted(message: Any) -> bool:
        arg = message.get("arg", {})
        return "data" in message and arg["channel"] == channel and symbol in (None, arg["instId"])

    return wanted


def ids(messages: list[Any]) -> list[int]:
    """The single fills in pushes of `trades-all`, in the order of arrival."""
    return [int(row["tradeId"]) for message in messages for row in message["data"]]


async def ended(client: Any, within: float = 5.0) -> Any:
    """Read until the connection ends, and return its `ConnectionClosed`."""
    async with asyncio.timeout(within):
        while True:
            try:
                await client.text(within)
            except ConnectionClosed as how:
                return how


async def fills(dial: Any, program: Any, symbol: str = "BTC-USDT") -> Any:
    """A client that has received its first fill."""
    client = await dial(program, "business")
    await client.subscribe(f"trades-all:{symbol}")
    await client.until(is_data("trades-all"))
    client.frames.clear()
    return client


async def catch_up(control: Any, client: Any) -> None:
    """Read what was sent before this moment: a slow client still has it in the socket."""
    newest = (await control.get("/truth/summary"))["symbols"]["BTC-USDT"]["lastTradeId"]
    while not is_good(frame := await client.text()) or not is_newer(json.loads(frame), newest):
        pass


async def a_second_later(control: Any, client: Any) -> list[str]:
    """Read until a second after the faults were requested, and return all frames."""
    await catch_up(control, client)
    for _ in range(A_SECOND):
        await client.text()
    return list(client.frames)


def is_good(frame: str) -> bool:
    try:
        return all(float(row["px"]) > 0 for row in json.loads(frame)["data"])
    except ValueError:
        return False


def is_newer(message: Any, trade_id: int) -> bool:
    """Whether a message has a later trade of BTC-USDT."""
    return message["arg"]["instId"] == "BTC-USDT" and int(message["data"][-1]["tradeId"]) > trade_id


def test_the_readme_names_every_fault() -> None:
    readme = (pathlib.Path(__file__).parents[3] / "simulator" / "README.md").read_text()
    assert [name for name in CALLS if f"`{name}`" not in readme] == []


# -- connections ---------------------------------------------------------------------------------------------------


async def test_drop_closes_with_a_code_or_aborts_and_returns_the_number(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control = control_of(program)
    public, business = await dial(program), await dial(program, "business")
    assert await control.post("/faults/drop", path="public", code=4005) == {"dropped": 1}
    with pytest.raises(ConnectionClosed, match="4005"):
        await public.text()
    assert await control.post("/faults/drop") == {"dropped": 1}
    with pytest.raises(ConnectionClosed, match="no close frame received"):
        await business.text()
    assert await control.post("/faults/drop") == {"dropped": 0}
    await dial(program)


async def test_lost_messages_break_the_chain_by_exactly_their_number(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await client.subscribe("trades:BTC-USDT", "trades:ETH-USDT")
    await client.until(lambda m: is_data("trades")(m) and m["arg"]["instId"] == "BTC-USDT")
    answer = await control.post("/faults/lose", channel="trades", symbol="BTC-USDT", count=2)
    assert (answer["fault"], answer["count"]) == ("lose", 2)
    await a_second_later(control, client)
    seen: dict[str, list[int]] = {"BTC-USDT": [], "ETH-USDT": []}
    for message in map(json.loads, client.frames):
        for row in message.get("data", ()):
            last = int(row["tradeId"])
            seen[message["arg"]["instId"]] += range(last - int(row["count"]) + 1, last + 1)
    missing = {name: sorted(set(range(ids[0], ids[-1])) - set(ids)) for name, ids in seen.items()}
    assert missing["ETH-USDT"] == []
    lost = await control.get("/truth/lost")
    assert [n for row in lost for n in range(row["firstTradeId"], row["lastTradeId"] + 1)] == missing["BTC-USDT"]
    assert len(lost) == 2
    merged = await control.get(
        f"/truth/trades/merged?symbol=BTC-USDT&from={missing['BTC-USDT'][0]}&to={missing['BTC-USDT'][-1]}"
    )
    assert sum(int(row["count"]) for row in merged) == len(missing["BTC-USDT"])
    assert await control.get("/faults") == []


async def test_silence_keeps_the_socket_open_and_ends_in_time(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET, "--silence-limit", "0.3")
    control, client = control_of(program), await dial(program)
    await client.subscribe("trades:BTC-USDT")
    last = await client.until(is_data("trades"))
    await control.post("/faults/silence", seconds=0.8)
    await client.socket.send("ping")
    silent_s = 0.0
    while silent_s <= 0.6:  # a slow client reads late, and sees the silence only in the times of the trades
        started = time.monotonic()
        message = await client.message()
        market_s = (int(message["data"][0]["ts"]) - int(last["data"][-1]["ts"])) / 1000
        silent_s, last = max(market_s, time.monotonic() - started), message
    assert await control.get("/faults") == []


async def test_silence_of_one_stream_leaves_the_others(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await client.subscribe("trades:BTC-USDT", "trades:ETH-USDT")
    await control.post("/faults/silence", seconds=60, channel="trades", symbol="BTC-USDT")
    await client.socket.send("ping")
    while await client.text() != "pong":
        pass
    received = [(await client.message())["arg"]["instId"] for _ in range(30)]
    assert set(received) == {"ETH-USDT"}
    assert (await control.get("/faults"))[0]["fault"] == "silence"
    assert await control.call("DELETE", "/faults") == {"ended": 1}
    assert (await client.until(lambda m: m["arg"]["instId"] == "BTC-USDT"))["data"]


async def test_refused_handshakes_are_counted(quiet: Any, dial: Any, control_of: Any) -> None:
    program = quiet
    control = control_of(program)
    before = (await control.get("/state"))["counters"]["refusedHandshakes"]
    await control.post("/faults/refuse", seconds=60, status=403)
    with pytest.raises(InvalidStatus) as refused:
        await dial(program)
    assert refused.value.response.status_code == 403
    assert (await control.get("/state"))["counters"]["refusedHandshakes"] == before + 1
    await control.call("DELETE", "/faults")
    await dial(program)


async def test_a_raw_frame_is_sent_exactly(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control = control_of(program)
    public, business = await dial(program), await dial(program, "business")
    garbage = '{"arg":{"channel":"boo\u0000'
    assert await control.post("/faults/raw", frame=garbage, path="public") == {"sent": 1}
    assert await public.text() == garbage
    await business.socket.send("ping")
    assert await business.text() == "pong"


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("nonsense", {}, "no fault is called 'nonsense'; there are ban, corrupt, crossed, delist,"),
        ("drop", {"path": "nowhere"}, "not one of business, private, public, null"),
        ("drop", {"code": "4004"}, "code must be of type int"),
        ("lose", {"channel": "trades"}, "count (how often) or seconds (how long) is missing"),
        ("lose", {"channel": "deals", "count": 1}, "channel 'deals' is not one of account, balance, bbo-tbt, books,"),
        ("lose", {"symbol": "NO-NO", "count": 1}, "symbol 'NO-NO' is not one of BTC-USDT, null"),
        ("lose", {"chanel": "trades", "count": 1}, "chanel is unknown; known are after, chance, channel,"),
        ("reorder", {"count": 1}, "one message has no order"),
        ("corrupt", {"count": 1, "damage": "x"}, "damage 'x' is not one of frame, json, utf8, value"),
        ("silence", {}, "seconds is missing"),
        ("silence", {"seconds": -1}, "seconds must be a number"),
        ("refuse", {"seconds": 1, "status": 200}, "status must be an integer from 400 to 599"),
        ("subscribe-error", {"count": 1}, "code is missing"),
        ("raw", {}, "frame is missing"),
    ],
)
async def test_invalid_faults_are_refused_with_a_reason(
    quiet: Any, control_of: Any, path: str, body: Any, why: str
) -> None:
    control = control_of(quiet)
    assert why in (await control.post(f"/faults/{path}", 400, **body))["error"]


async def test_only_known_faults_can_be_ended(quiet: Any, control_of: Any) -> None:
    assert "no fault is called 'loose'" in (await control_of(quiet).call("DELETE", "/faults/loose", 400))["error"]


async def test_reset_ends_the_tcp_connection_with_rst(start: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control = control_of(program)
    host, port = program.listen.removeprefix("ws://").split(":")
    with socket.create_connection((host, int(port)), 5) as client:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
        client.sendall(
            f"GET /ws/v5/public HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n{key}\r\n\r\n".encode()
        )
        assert b"101" in await asyncio.to_thread(client.recv, 4096)
        while not (await control.get("/state"))["connections"]:
            await asyncio.sleep(0.01)
        assert await control.post("/faults/reset", path="business") == {"dropped": 0}
        assert await control.post("/faults/reset", path="public") == {"dropped": 1}
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(client.recv, 4096)


async def test_one_connection_can_be_dropped_by_its_id(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control = control_of(program)
    first, second = await dial(program), await dial(program)
    name = (await control.get("/state"))["connections"][0]["id"]
    assert await control.post("/faults/drop", connection=name, code=4008) == {"dropped": 1}
    assert (await ended(first)).rcvd.code == 4008
    await second.socket.send("ping")
    assert await second.text() == "pong"


async def test_a_handshake_that_is_never_answered(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control = control_of(program)
    await control.post("/faults/half-open", stage="handshake", count=1, path="public")
    await dial(program, "business")
    with pytest.raises(TimeoutError):
        await dial(program, open_timeout=0.3)
    await dial(program)


@pytest.mark.parametrize(("stage", "path"), [("handshake", "/faults"), ("tcp", "/faults/half-open")])
async def test_unanswered_connection_is_cut_off_when_the_fault_ends(
    start: Any, dial: Any, control_of: Any, stage: str, path: str
) -> None:
    program = start(*QUIET)
    control = control_of(program)
    await control.post("/faults/half-open", stage=stage, seconds=60)
    dialling = asyncio.create_task(dial(program))
    await asyncio.sleep(0.2)
    assert not dialling.done()
    assert await control.call("DELETE", path) == {"ended": 1}
    with pytest.raises(Exception, match=r"did not receive a valid HTTP response|Connection reset"):
        await dialling
    await dial(program)


async def test_a_connection_whose_tls_is_never_answered(
    start: Any, dial: Any, control_of: Any, tmp_path: pathlib.Path
) -> None:
    authority = tls.authority(tmp_path)
    certificate, key = authority.issue("localhost")
    program = start(*QUIET, "--tls-cert", str(certificate), "--tls-key", str(key))
    control, trust = control_of(program), ssl.create_default_context(cafile=str(authority.file))
    await control.post("/faults/half-open", stage="tcp", count=1)
    with pytest.raises(TimeoutError):
        await dial(program, ssl=trust, server_hostname="localhost", open_timeout=0.4)
    client = await dial(program, ssl=trust, server_hostname="localhost")
    await client.socket.send("ping")
    assert await client.text() == "pong"
    assert await control.post("/faults/reset") == {"dropped": 1}
    assert (await ended(client)).rcvd is None


async def test_a_half_open_socket_answers_nothing_while_new_ones_work(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, dead = control_of(program), await dial(program)
    await dead.subscribe("trades:BTC-USDT")
    await dead.until(is_data("trades"))
    answer = await control.post("/faults/half-open", stage="established", seconds=60)
    assert len(answer["connections"]) == 1
    sent = (await control.get("/state"))["connections"][0]["framesSent"]
    alive = await dial(program)
    await alive.subscribe("trades:BTC-USDT")
    await alive.until(is_data("trades"))
    await dead.messages(sent - len(dead.frames))
    await dead.socket.send("ping")
    await dead.socket.ping()
    await dead.socket.send(json.dumps({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]}))
    with pytest.raises(TimeoutError):
        await dead.text(0.4)
    assert dead.socket.state.name == "OPEN"
    closing = time.monotonic()
    await dead.socket.close()
    assert dead.socket.close_code == 1006, "a half-open socket answers no close frame"
    assert time.monotonic() - closing < 5


async def test_a_half_open_socket_is_cut_when_its_time_is_over(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    dead = await dial(program)
    await control_of(program).post("/faults/half-open", stage="established", seconds=0.2)
    assert isinstance(await ended(dead), ConnectionClosedError)


async def test_slow_writer_keeps_to_its_rate(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control, client = control_of(program), await dial(program)
    await control.post("/faults/slow-write", seconds=60, bytesPerSecond=20_000, path="public")
    started = time.monotonic()
    await client.subscribe("books:BTC-USDT")
    snapshot = await client.until(is_data("books"))
    size, took = len(json.dumps(snapshot, separators=(",", ":"))), time.monotonic() - started
    assert took > 0.8 * size / 20_000 > 0.5
    await control.call("DELETE", "/faults")
    await client.socket.send("ping")
    assert await client.text() == "pong"


async def test_a_slow_reader_answers_late(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control, client = control_of(program), await dial(program)
    await control.post("/faults/slow-read", seconds=60, bytesPerSecond=10)
    started = time.monotonic()
    await client.socket.send("ping")
    assert await client.text() == "pong"
    assert time.monotonic() - started > 0.35


async def test_notice_closes_notified_connections_and_no_later_ones(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control, notified = control_of(program), await dial(program)
    name = (await control.get("/state"))["connections"][0]["id"]
    await control.post("/faults/notice", seconds=0.5, code=4006)
    notice = await notified.message()
    assert (notice["event"], notice["code"], notice["connId"]) == ("notice", "64008", name)
    later = await dial(program)
    started = time.monotonic()
    assert (await ended(notified)).rcvd.code == 4006
    assert time.monotonic() - started < 1.0
    await later.socket.send("ping")
    assert await later.text() == "pong"
    assert await control.get("/faults") == []


async def test_withdrawn_notice_closes_no_connection(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control, notified = control_of(program), await dial(program)
    await control.post("/faults/notice", seconds=1)
    await notified.message()
    assert await control.call("DELETE", "/faults/notice") == {"ended": 1}
    await asyncio.sleep(1.2)
    await notified.socket.send("ping")
    assert await notified.text() == "pong"


async def test_subscription_fails_as_often_as_requested_and_then_works(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control, client = control_of(program), await dial(program)
    await control.post("/faults/subscribe-error", channel="books", code="64007", count=2, arg=True)
    for _ in range(2):
        await client.subscribe("books:BTC-USDT")
        error = await client.message()
        assert (error["code"], error["arg"]["channel"]) == ("64007", "books")
    await client.subscribe("books:BTC-USDT")
    assert (await client.until(is_data("books")))["action"] == "snapshot"


async def test_a_stuck_subscription_gets_neither_answer_nor_data(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await control.post("/faults/stuck-subscribe", symbol="BTC-USDT", seconds=60)
    await client.subscribe("trades:BTC-USDT", "trades:ETH-USDT")
    messages = await client.messages(20)
    assert {message["arg"]["instId"] for message in messages} == {"ETH-USDT"}
    await control.call("DELETE", "/faults")
    await client.subscribe("trades:BTC-USDT")
    await client.until(is_data("trades", "BTC-USDT"))


# -- messages ------------------------------------------------------------------------------------------------------


async def test_lost_list_equals_the_messages_a_client_missed(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/lose", channel="trades-all", symbol="BTC-USDT", count=5, after=3, chance=0.5, seed=1)
    got = ids(await client.messages(1))
    while await control.get("/faults"):
        got += ids(await client.messages(1))
    lost = await control.get("/truth/lost?channel=trades-all&symbol=BTC-USDT")
    while got[-1] < lost[-1]["lastTradeId"]:
        got += ids(await client.messages(1))
    missing = sorted(set(range(got[0], got[-1])) - set(got))
    assert [n for row in lost for n in range(row["firstTradeId"], row["lastTradeId"] + 1)] == missing
    assert len(lost) == 5
    assert await control.get("/truth/lost?channel=books", 200) == []


async def test_fills_are_lost_for_one_of_two_connections(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, one, two = control_of(program), await fills(dial, program), await fills(dial, program)
    name = (await control.get("/state"))["connections"][0]["id"]
    await control.post("/faults/lose", channel="trade", symbol="BTC-USDT", count=3, connection=name)
    while await control.get("/faults"):
        await one.messages(1)
    lost = await control.get("/truth/lost")
    assert {row["connection"] for row in lost} == {name}
    missing = {n for row in lost for n in range(row["firstTradeId"], row["lastTradeId"] + 1)}
    got = {}
    for client in (one, two):
        while not client.frames or max(ids([json.loads(client.frames[-1])])) <= max(missing):
            await client.messages(1)
        got[client.socket] = set(ids([json.loads(text) for text in client.frames]))
    assert not missing & got[one.socket]
    assert missing <= got[two.socket]


async def test_banned_address_is_refused_and_keeps_open_connections(
    start: Any, dial: Any, http: Any, control_of: Any
) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/ban", seconds=30, status=418)
    with pytest.raises(InvalidStatus) as refused:
        await dial(program)
    assert refused.value.response.status_code == 418
    assert 0 < int(refused.value.response.headers["Retry-After"]) <= 30
    async with http.get(f"{program.rest}/api/v5/public/time") as reply:
        assert (reply.status, 0 < int(reply.headers["Retry-After"]) <= 30) == (418, True)
    await client.messages(3)
    await control.call("DELETE", "/faults/ban")
    async with http.get(f"{program.rest}/api/v5/public/time") as reply:
        assert (reply.status, "Retry-After" in reply.headers) == (200, False)


async def test_book_of_rest_can_be_older_than_the_stream(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control = control_of(program)
    while len(sequences := await control.get("/truth/sequences?symbol=BTC-USDT")) < 20:
        await asyncio.sleep(0.05)
    await control.post("/faults/rest", path="market/books", stale=10, count=1)
    async with http.get(f"{program.rest}/api/v5/market/books?instId=BTC-USDT&sz=400") as reply:
        (old,) = (await reply.json())["data"]
    async with http.get(f"{program.rest}/api/v5/market/books?instId=BTC-USDT&sz=400") as reply:
        (current,) = (await reply.json())["data"]
    sequences = [row["sequence"] for row in await control.get("/truth/sequences?symbol=BTC-USDT")]
    assert sequences.index(current["seqId"]) - sequences.index(old["seqId"]) >= 10
    truth = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={old['seqId']}")
    assert [level[:2] for level in old["bids"]] == truth["bids"]


async def test_jump_of_the_sequence_is_published(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await client.subscribe("books:BTC-USDT")
    last = (await client.until(is_data("books")))["data"][0]["seqId"]
    await control.post("/faults/sequence-jump", symbol="BTC-USDT", by=77)
    while (row := (await client.until(is_data("books")))["data"][0])["prevSeqId"] == last:
        last = row["seqId"]
    assert row["prevSeqId"] == last + 77


async def test_data_type_selects_all_its_channels(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client, merged = control_of(program), await fills(dial, program), await dial(program)
    await merged.subscribe("trades:BTC-USDT")
    await merged.until(is_data("trades"))
    fault = await control.post("/faults/lose", channel="trade", symbol="BTC-USDT", count=4)
    assert (fault["channel"], fault["symbol"]) == ("trade", "BTC-USDT")
    while await control.get("/faults"):
        await client.messages(1)
    lost = await control.get("/truth/lost?channel=trade&symbol=BTC-USDT")
    assert sorted(row["channel"] for row in lost) == ["trades", "trades", "trades-all", "trades-all"]
    assert await control.get("/truth/lost?channel=orderbook") == []


async def test_duplicated_and_reordered_fills_are_all_there(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/duplicate", channel="trades-all", count=3)
    await control.post("/faults/reorder", channel="trades-all", count=4, after=3)
    messages = [json.loads(frame) for frame in await a_second_later(control, client)]
    got = ids(messages)
    assert sorted(set(got)) == list(range(min(got), max(got) + 1))
    assert len(got) > len(set(got))
    firsts = [ids([message])[0] for message in messages]
    assert sum(later < earlier for earlier, later in pairwise(firsts)) == 3


@pytest.mark.parametrize(("damage", "code"), [("json", None), ("value", None), ("utf8", 1007), ("frame", 1002)])
async def test_corrupt_messages_reach_the_client(
    start: Any, dial: Any, control_of: Any, damage: str, code: int | None
) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/corrupt", channel="trades-all", count=1, damage=damage)
    if code is not None:
        how = await ended(client)
        assert how.sent.code == code
    else:
        frames = await a_second_later(control, client)
        assert sum(not is_good(frame) for frame in frames) == 1
    assert len(await control.get("/truth/lost")) == 1


async def test_a_truncated_text_is_half_a_message(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/truncate", channel="trades-all", count=1)
    frames = await a_second_later(control, client)
    assert [frame.endswith("]}") for frame in frames].count(False) == 1
    assert len(await control.get("/truth/lost")) == 1


async def test_a_truncated_frame_ends_the_connection_in_its_middle(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/truncate", channel="trades-all", count=1, cut="frame")
    how = await ended(client)
    assert (how.rcvd, len(await control.get("/truth/lost"))) == (None, 1)


async def test_a_wrong_checksum_is_sent_only_where_there_is_one(start: Any, dial: Any, control_of: Any) -> None:
    with_checksums, without = start(*MARKET, "--checksum"), start(*MARKET)
    for program, wrong in ((with_checksums, 1), (without, 0)):
        control, client = control_of(program), await dial(program)
        await control.post("/faults/wrong-checksum", channel="books", symbol="BTC-USDT", count=1)
        await client.subscribe("books:BTC-USDT")
        rows = [(await client.until(is_data("books")))["data"][0] for _ in range(6)]
        truth = [await control.get(f"/truth/book?symbol=BTC-USDT&sequence={row['seqId']}") for row in rows]
        assert sum(row["checksum"] != true["checksum"] for row, true in zip(rows, truth, strict=True)) == wrong


async def test_late_frames_come_late_and_in_order(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET, "--start", "now")
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/latency", milliseconds=400, seconds=1)
    late, got = False, []
    while True:
        message = await client.message()
        got += ids([message])
        lateness = time.time() * 1000 - int(message["data"][0]["ts"])
        late = late or lateness > 390
        if late and lateness < 200:
            break
    assert got == list(range(got[0], got[-1] + 1))


async def test_the_wrong_clock_is_seen_on_the_websocket(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET, "--start", "now")
    control, client = control_of(program), await fills(dial, program)
    await control.post("/faults/skew", milliseconds=3_600_000, seconds=60)
    (row, *_) = (await client.until(lambda m: int(m["data"][0]["ts"]) > (time.time() + 1800) * 1000))["data"]
    assert 3_500_000 < int(row["ts"]) - time.time() * 1000 < 3_700_000
    (true,) = await control.get(f"/truth/trades?symbol=BTC-USDT&from={row['tradeId']}&to={row['tradeId']}")
    assert int(row["ts"]) - int(true["ts"]) == 3_600_000


# -- REST ----------------------------------------------------------------------------------------------------------


class Rest:
    """A client of a program's REST address for trades of BTC-USDT."""

    def __init__(self, program: Any, http: Any) -> None:
        self._url, self._http = f"{program.rest}/api/v5/market/history-trades?instId=BTC-USDT", http

    async def ask(self, query: str = "", timeout: float = 5.0) -> tuple[int, list[int]]:
        """The HTTP status and the ids of the page."""
        async with asyncio.timeout(timeout), self._http.get(self._url + query) as reply:
            return reply.status, [int(row["tradeId"]) for row in (await reply.json())["data"]]


async def traded(control: Any) -> int:
    """Wait until the history has more than 30 fills, and return the id of the newest one."""
    while True:
        symbol = (await control.get("/truth/summary"))["symbols"]["BTC-USDT"]
        if symbol["lastTradeId"] - symbol["firstTradeId"] > 30:
            return int(symbol["lastTradeId"])
        await asyncio.sleep(0.05)


async def test_rest_fails_as_often_as_requested_and_counts_calls(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, rest = control_of(program), Rest(program, http)
    await traded(control)
    await control.post("/faults/rest", path="market/history-trades", symbol="BTC-USDT", status=429, count=2)
    await control.post("/faults/rest", path="market/history-trades", status=500, count=1)
    await control.post("/faults/rest", path="market/books", status=503, count=1)
    assert [(await rest.ask())[0] for _ in range(4)] == [429, 429, 500, 200]
    calls = (await control.get("/state"))["counters"]["calls"]
    assert calls == {"/api/v5/market/history-trades": {"429": 2, "500": 1, "200": 1}}


async def test_rest_answers_an_error_code_of_the_exchange(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control = control_of(program)
    await control.post("/faults/rest", path="public/time", code="50011", count=1)
    await control.post("/faults/rest", path="public/time", code="50001", message="closed", count=1)
    answers = []
    for _ in range(3):
        async with http.get(f"{program.rest}/api/v5/public/time") as reply:
            answers.append((reply.status, await reply.json()))
    assert [(status, found["code"], found["msg"]) for status, found in answers] == [
        (200, "50011", "Simulated error"),
        (200, "50001", "closed"),
        (200, "0", ""),
    ]


async def test_subscribers_get_the_snapshot_again(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program, "public")
    await client.subscribe("books:BTC-USDT", "tickers:BTC-USDT")
    await client.until(lambda message: message.get("action") == "update")
    assert await control.post("/faults/resend", channel="books") == {"sent": 1}
    snapshot = await client.until(lambda message: message.get("action") == "snapshot")
    assert len(snapshot["data"][0]["bids"]) == 400
    assert await control.post("/faults/resend", channel="books", symbol="ETH-USDT") == {"sent": 0}


async def test_delisted_instrument_is_unknown_until_it_is_listed_again(
    start: Any, dial: Any, http: Any, control_of: Any
) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program, "public")
    await traded(control)
    await control.post("/faults/delist", symbol="BTC-USDT", seconds=60)

    async def rest(path: str) -> Any:
        async with http.get(f"{program.rest}/api/v5/{path}") as answer:
            return await answer.json()

    assert (await rest("market/trades?instId=BTC-USDT"))["code"] == "51001"
    assert (await rest("public/instruments?instType=SPOT&instId=BTC-USDT"))["code"] == "51001"
    assert "BTC-USDT" not in {row["instId"] for row in (await rest("market/tickers?instType=SPOT"))["data"]}
    await client.subscribe("tickers:BTC-USDT")
    assert json.loads(await client.text())["code"] == "60018"
    await control.call("DELETE", "/faults/delist")
    assert (await rest("market/trades?instId=BTC-USDT"))["data"]


async def test_rest_does_not_answer_and_then_ends_the_connection(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, rest = control_of(program), Rest(program, http)
    await control.post("/faults/rest", timeout=30, count=1)
    while await control.get("/faults"):  # a slow simulator reads no call whose client has left
        with pytest.raises(TimeoutError):
            await rest.ask(timeout=0.3)
    await control.post("/faults/rest", timeout=0.2, seconds=60)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await rest.ask()
    await control.call("DELETE", "/faults/rest")
    assert (await rest.ask())[0] == 200
    assert (await control.get("/state"))["counters"]["calls"]["/api/v5/market/history-trades"]["timeout"] >= 2


async def test_rest_pages_are_empty_partial_or_stale(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, rest = control_of(program), Rest(program, http)
    after = await traded(control)
    for fault in ({"first": 0}, {"first": 3}, {"every": 2}):
        await control.post("/faults/rest", count=1, **fault)
    pages = [(await rest.ask(f"&after={after}&limit=6"))[1] for _ in range(4)]
    assert pages[3] == list(range(after - 1, after - 7, -1))
    assert pages[:3] == [[], pages[3][:3], pages[3][::2]]
    await control.post("/faults/rest", stale=1_000_000, seconds=60)
    assert (await rest.ask())[1] == []


async def test_missing_history_is_back_after_the_fault_ends(start: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, rest = control_of(program), Rest(program, http)
    last = await traded(control)
    await control.post("/faults/no-history", symbol="BTC-USDT", before=last - 10)
    await control.post("/faults/no-history", symbol="BTC-USDT", **{"from": last - 4, "to": last - 2})
    assert (await rest.ask(f"&after={last + 1}"))[1] == [last, last - 1, *range(last - 5, last - 11, -1)]
    assert len(await control.get(f"/truth/trades?symbol=BTC-USDT&from={last - 12}&to={last}")) == 13
    await control.call("DELETE", "/faults")
    assert len((await rest.ask(f"&after={last + 1}&limit=12"))[1]) == 12


async def test_history_lacks_swallowed_trades_when_requested(start: Any, dial: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, rest, client = control_of(program), Rest(program, http), await fills(dial, program)
    await control.post("/faults/no-history", symbol="BTC-USDT", swallowed=True)
    await control.post("/faults/lose", channel="trades-all", symbol="BTC-USDT", count=2, after=1)
    got = ids(await client.messages(2))
    while not (missing := set(range(got[0], got[-1])) - set(got)):
        got += ids(await client.messages(1))
    page = (await rest.ask(f"&after={got[-1] + 1}"))[1]
    assert set(range(min(page), got[-1])) - set(page) == missing  # a page has only 100 trades


async def test_skew_also_shifts_the_clock_of_rest(start: Any, http: Any, control_of: Any) -> None:
    program = start(*QUIET, "--start", "now")
    await control_of(program).post("/faults/skew", milliseconds=-90_000, seconds=60)
    async with http.get(f"{program.rest}/api/v5/public/time") as reply:
        (row,) = (await reply.json())["data"]
    assert -95_000 < int(row["ts"]) - time.time() * 1000 < -85_000


# -- the market ----------------------------------------------------------------------------------------------------


async def test_a_crossed_book_is_the_truth_while_it_lasts(start: Any, dial: Any, http: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await client.subscribe("books:BTC-USDT")
    previous = (await client.until(is_data("books")))["data"][0]["seqId"]
    await control.post("/faults/crossed", symbol="BTC-USDT", seconds=1, preopen=True)
    async with http.get(f"{program.rest}/api/v5/public/instruments?instType=SPOT") as reply:
        assert [row["state"] for row in (await reply.json())["data"]] == ["preopen", "live"]
    crossed: list[bool] = []
    while len(crossed) < 40 or crossed[-1] or not any(crossed):
        row = (await client.until(is_data("books")))["data"][0]
        assert row["prevSeqId"] == previous
        previous = row["seqId"]
        truth = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={previous}")
        crossed.append(float(truth["bids"][0][0]) >= float(truth["asks"][0][0]))
    stretches = [is_crossed for is_crossed, _ in groupby(crossed)]
    assert stretches in ([True, False], [False, True, False]), "once, with or without updates before the fault"
    assert sum(crossed) > 20
    assert await control.get("/faults") == []


async def test_withdrawn_crossing_ends_with_the_next_change(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await client.subscribe("books:BTC-USDT")
    await client.until(is_data("books"))
    await control.post("/faults/crossed", symbol="BTC-USDT", seconds=60)
    await client.messages(10)
    await control.call("DELETE", "/faults")
    while await control.get("/faults"):
        await client.message()
    last = (await control.get("/truth/summary"))["symbols"]["BTC-USDT"]["lastSequence"]
    book = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={last}")
    assert float(book["bids"][0][0]) < float(book["asks"][0][0])


async def test_numbers_restart_legally_and_the_truth_follows(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client, trades = control_of(program), await dial(program), await fills(dial, program)
    await client.subscribe("books:BTC-USDT")
    last = (await client.until(is_data("books")))["data"][0]["seqId"]
    got = ids(await trades.messages(2))  # before the restart with the next trade
    await control.post("/faults/sequence-reset", symbol="BTC-USDT", trades=True)
    follows: list[bool] = []
    while len(follows) < 40 or all(follows):
        row = (await client.until(is_data("books")))["data"][0]
        assert row["prevSeqId"] == last
        follows.append(row["seqId"] >= last)
        last = row["seqId"]
        assert (await control.get(f"/truth/book?symbol=BTC-USDT&sequence={last}"))["previous"] == row["prevSeqId"]
    assert follows.count(False) == 1
    while got[-1] >= got[0]:
        got += ids(await trades.messages(1))
    got += ids(await trades.messages(5))
    (seam,) = [place for place, (one, two) in enumerate(pairwise(got)) if two != one + 1]
    assert got[seam + 1] < got[seam]
    true = [int(row["tradeId"]) for row in await control.get("/truth/trades?symbol=BTC-USDT")]
    assert true[true.index(got[0]) :][: len(got)] == got


async def test_the_changes_of_a_book_lead_from_one_state_to_another(start: Any, control_of: Any) -> None:
    control = control_of(start(*MARKET))
    await traded(control)
    changes = await control.get("/truth/changes?symbol=BTC-USDT")
    states = [
        await control.get(f"/truth/book?symbol=BTC-USDT&sequence={changes[place]['sequence']}") for place in (0, 9)
    ]
    book = {side: dict(states[0][side]) for side in ("bids", "asks")}
    for change in changes[1:10]:
        for side, levels in book.items():
            levels |= dict(change[side])
            book[side] = {price: size for price, size in levels.items() if size != "0"}
    assert book == {side: dict(states[1][side]) for side in book}


# -- together ------------------------------------------------------------------------------------------------------


async def test_lost_list_equals_unreadable_messages_under_all_message_faults(
    start: Any, dial: Any, control_of: Any
) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await fills(dial, program)
    some = {"channel": "trades-all", "seconds": 1.5, "chance": 0.1}
    for seed, (name, more) in enumerate(
        [("lose", {}), ("corrupt", {}), ("corrupt", {"damage": "value"}), ("truncate", {}), ("duplicate", {})]
    ):
        await control.post(f"/faults/{name}", **some, **more, seed=seed)
    await control.post("/faults/reorder", channel="trades-all", count=7, after=9)
    await control.post("/faults/latency", milliseconds=50, seconds=0.7)
    await control.post("/faults/silence", channel="trades-all", seconds=0.4)
    while await control.get("/faults"):
        await client.text()
    await catch_up(control, client)
    got = {n for frame in client.frames if is_good(frame) for n in ids([json.loads(frame)])}
    lost = await control.get("/truth/lost")
    swallowed = {n for row in lost for n in range(row["firstTradeId"], row["lastTradeId"] + 1)}
    assert set(range(min(got), max(got) + 1)) - got == {n for n in swallowed if min(got) < n < max(got)}
    assert {row["fault"] for row in lost} == {"lose", "corrupt", "truncate", "silence"}


BODIES: dict[str, list[dict[str, Any]]] = {
    "ban": [{"seconds": 0.1}],
    "corrupt": [{"damage": damage, "count": 2} for damage in ("json", "value", "utf8", "frame")],
    "crossed": [{"symbol": "BTC-USDT", "seconds": 0.2}],
    "delist": [{"symbol": "ETH-USDT", "seconds": 0.2}],
    "drop": [{}, {"code": 4004}, {"path": "public"}],
    "duplicate": [{"count": 5}],
    "half-open": [{"stage": "tcp", "count": 1}, {"stage": "handshake", "seconds": 0.1}, {"seconds": 0.2}],
    "latency": [{"milliseconds": 80, "seconds": 0.3}],
    "login-error": [{"code": "63999", "count": 1}],
    "lose": [{"channel": "books", "count": 3, "after": 1}],
    "no-history": [{"symbol": "BTC-USDT", "swallowed": True}],
    "notice": [{"seconds": 0.2}],
    "raw": [{"frame": "{"}],
    "refuse": [{"count": 1}],
    "reorder": [{"count": 4}],
    "reset": [{}],
    "resend": [{}, {"channel": "books"}],
    "rest": [
        {"status": 500, "count": 1},
        {"code": "50011", "count": 1},
        {"timeout": 0.1, "count": 1},
        {"stale": 3, "seconds": 0.1},
    ],
    "sequence-jump": [{"symbol": "BTC-USDT", "by": 500}],
    "sequence-reset": [{"symbol": "BTC-USDT", "trades": False}],
    "silence": [{"seconds": 0.2}, {"channel": "books", "seconds": 0.2}],
    "skew": [{"milliseconds": 5000, "seconds": 0.2}],
    "slow-read": [{"bytesPerSecond": 500, "seconds": 0.2}],
    "slow-write": [{"bytesPerSecond": 5000, "seconds": 0.2}],
    "stuck-subscribe": [{"count": 1}],
    "subscribe-error": [{"code": "60014", "count": 1}],
    "truncate": [{"cut": "text", "count": 1}, {"cut": "frame", "count": 1}],
    "wrong-checksum": [{"count": 1}],
}


async def test_simulator_survives_all_faults_and_keeps_the_truth_complete(
    start: Any, dial: Any, http: Any, control_of: Any
) -> None:
    """Fixture `programs` also checks exit code 0 and a log without a traceback."""
    assert BODIES.keys() == CALLS.keys()
    program = start(*MARKET, "--checksum")
    control, rest, random = control_of(program), Rest(program, http), Random(7)
    clients = [asyncio.create_task(_reconnecting(dial, program, path)) for path in ("public", "business", "business")]
    for name in random.sample(sorted(CALLS), len(CALLS)) * 2:
        await control.post(f"/faults/{name}", **random.choice(BODIES[name]))
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            await rest.ask(timeout=0.1)
        await asyncio.sleep(0.05)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    await control.call("DELETE", "/faults")
    sequences = await control.get("/truth/sequences?symbol=BTC-USDT")
    assert {two["previous"] - one["sequence"] for one, two in pairwise(sequences)} == {0, 500}
    assert (await control.get("/state"))["counters"]["connections"] > 6


async def _reconnecting(dial: Any, program: Any, path: str) -> None:
    """A client that reconnects after every failure."""
    streams = ("trades-all:BTC-USDT",) if path == "business" else ("books:BTC-USDT", "tickers:ETH-USDT")
    while True:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            client = await dial(program, path, open_timeout=0.3)
            await client.subscribe(*streams)
            while True:
                await client.text(0.3)
