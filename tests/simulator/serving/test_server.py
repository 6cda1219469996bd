"""The simulator as a separate process with an ordinary WebSocket client over loopback."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import signal
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from websockets.exceptions import ConnectionClosed, InvalidStatus

import tls
from market_simulator.dialects.okx.dialect import Okx
from market_simulator.engine.dialect import ServerOptions
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue
from market_simulator.serving import control, server
from market_simulator.serving.exchange import Exchange

pytestmark = pytest.mark.simulator

MARKET = ("--market", "7", "--symbols", "BTC-USDT,ETH-USDT", "--rate", "200")
QUIET = ("--market", "7", "--symbols", "BTC-USDT", "--rate", "0.001")


def is_data(channel: str) -> Any:
    return lambda message: message.get("arg", {}).get("channel") == channel and "data" in message


async def closed(client: Any, within: float = 5.0) -> int:
    """Read until the connection ends, and return the close code."""
    async with asyncio.timeout(within):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.text(within)
        await client.socket.wait_closed()
    return int(client.socket.close_code)


async def test_each_argument_is_acknowledged_and_data_may_come_first(quiet: Any, dial: Any) -> None:
    client = await dial(quiet)
    await client.subscribe("books:BTC-USDT", "tickers:BTC-USDT", "nonsense:BTC-USDT", "trades:NO-NO", request_id="77")
    messages = await client.messages(6)
    kinds = [message.get("event", "data") for message in messages]
    assert kinds == ["subscribe", "data", "data", "subscribe", "error", "error"]
    assert [m["arg"]["channel"] for m in messages[:4]] == ["books", "books", "tickers", "tickers"]
    assert {m["id"] for m in messages if "event" in m} == {"77"}
    assert len({m["connId"] for m in messages if "event" in m}) == 1
    assert [(m["code"], "arg" in m) for m in messages[4:]] == [("60018", False), ("60018", False)]


async def test_business_channels_are_on_the_business_path(start: Any, dial: Any) -> None:
    program = start(*MARKET)
    public, business = await dial(program), await dial(program, "business")
    await public.subscribe("candle1s:BTC-USDT")
    assert (await public.message())["code"] == "64001"
    await business.subscribe("trades:BTC-USDT")
    assert (await business.message())["code"] == "64002"
    await business.subscribe("candle1s:BTC-USDT", "trades-all:BTC-USDT")
    fill = await business.until(is_data("trades-all"))
    assert "count" not in fill["data"][0]
    closed_candle = await business.until(lambda m: is_data("candle1s")(m) and m["data"][0][8] == "1")
    assert len(closed_candle["data"][0]) == 9


async def test_text_ping_gets_text_pong_and_malformed_requests_60012(quiet: Any, dial: Any) -> None:
    client = await dial(quiet)
    await client.socket.send("ping")
    assert await client.text() == "pong"
    await client.socket.send("{half")
    error = await client.message()
    assert (error["code"], error["msg"]) == ("60012", "Invalid request: {half")
    await (await client.socket.ping())


async def test_login_without_a_field_is_refused_and_closed(quiet: Any, dial: Any) -> None:
    client = await dial(quiet, "private")
    await client.socket.send(json.dumps({"op": "login", "args": [{"apiKey": "k"}]}))
    assert (await client.message())["code"] == "60027"
    assert await closed(client) == 4001


async def test_silence_ends_the_connection_unless_the_client_pings(start: Any, dial: Any) -> None:
    program = start(*QUIET, "--silence-limit", "2")
    never_subscribed, listening, pinging = await dial(program), await dial(program), await dial(program)
    for client in (listening, pinging):
        await client.subscribe("trades:BTC-USDT")
    codes = asyncio.gather(closed(never_subscribed), closed(listening))
    for _ in range(13):
        await asyncio.sleep(0.2)
        await pinging.socket.send("ping")
    assert list(await codes) == [4004, 4004]
    assert pinging.socket.state.name == "OPEN"


async def test_too_large_a_request_is_closed_with_1009(quiet: Any, dial: Any, control_of: Any) -> None:
    client, control = await dial(quiet), control_of(quiet)
    await client.socket.send("x" * 70_000)
    assert await closed(client) == 1009
    async with asyncio.timeout(5):
        while (await control.get("/state"))["counters"]["exceeded"] != {"bytes of a request": 1}:
            await asyncio.sleep(0.02)


async def test_unchanged_book_sends_a_no_change_push(start: Any, dial: Any) -> None:
    client = await dial(start(*QUIET, "--no-change-interval", "0.3"))
    await client.subscribe("books:BTC-USDT")
    snapshot = (await client.until(is_data("books")))["data"][0]
    for _ in range(2):
        row = (await client.until(is_data("books")))["data"][0]
        assert {row["prevSeqId"], row["seqId"]} == {snapshot["seqId"]}
        assert (row["bids"], row["asks"]) == ([], [])


async def test_a_fast_replay_shows_no_seam(start: Any, dial: Any, recording_2022: Path) -> None:
    """Links, trade ids and times continue over many loops. Only a new subscription gets a second snapshot."""
    client = await dial(start("--replay", str(recording_2022), "--speed", "max"))
    await client.subscribe("books:BTC-USDT", "trades:BTC-USDT")
    sequence, trade_id, ts, trades = -1, None, 0, 0
    while trades < 69 * 4:
        message = await client.message()
        if "event" in message:
            continue
        for row in message["data"]:
            if "tradeId" in row:
                first = int(row["tradeId"]) - int(row["count"]) + 1
                assert first == (trade_id or first - 1) + 1
                trade_id, trades = int(row["tradeId"]), trades + 1
            else:
                assert row["prevSeqId"] == sequence
                assert (message["action"] == "snapshot") == (sequence == -1)
                assert int(row["ts"]) >= ts
                sequence, ts = row["seqId"], int(row["ts"])
    await client.subscribe("books:BTC-USDT", op="unsubscribe")
    await client.until(lambda m: m.get("event") == "unsubscribe")
    await client.subscribe("books:BTC-USDT")
    again = await client.until(is_data("books"))
    assert (again["action"], again["data"][0]["prevSeqId"]) == ("snapshot", -1)
    assert again["data"][0]["seqId"] > sequence


async def test_all_connections_see_the_same_bytes(start: Any, dial: Any) -> None:
    program = start(*MARKET)
    one, two = await dial(program), await dial(program)
    for client in (one, two):
        await client.subscribe("books:BTC-USDT")
    newest = (await two.messages(100))[-1]["data"][0]["seqId"]
    await one.until(lambda message: "data" in message and message["data"][0]["seqId"] >= newest)
    first, second = (
        {
            m["data"][0]["seqId"]: text
            for text in c.frames
            if "data" in (m := json.loads(text)) and m["action"] == "update"
        }
        for c in (one, two)
    )
    shared = first.keys() & second.keys()
    assert len(shared) > 90
    assert all(first[sequence] == second[sequence] for sequence in shared)


def pushes(client: Any) -> dict[int, str]:
    """The received pushes of a client by sequence number, without the snapshot."""
    rows = [(json.loads(text), text) for text in client.frames]
    return {m["data"][0]["seqId"]: text for m, text in rows if "data" in m and m.get("action") != "snapshot"}


async def test_the_same_seed_gives_the_same_bytes_in_another_process(start: Any, dial: Any) -> None:
    arguments = ("--market", "7", "--symbols", "BTC-USDT", "--rate", "600")
    clients = [await dial(start(*arguments, hash_seed=seed)) for seed in ("1", "2")]
    for client in clients:
        await client.subscribe("books:BTC-USDT", "trades:BTC-USDT")
    shared: set[int] = set()
    while len(shared) <= 200:
        await asyncio.gather(*(client.messages(100) for client in clients))
        one, two = map(pushes, clients)
        shared = one.keys() & two.keys()
    assert all(one[sequence] == two[sequence] for sequence in shared)


async def test_server_uses_tls_when_it_has_a_certificate(start: Any, dial: Any, tmp_path: Path) -> None:
    authority = tls.authority(tmp_path)
    certificate, key = authority.issue("localhost")
    program = start(*MARKET, "--tls-cert", str(certificate), "--tls-key", str(key))
    assert program.listen.startswith("wss://")
    trust = ssl.create_default_context(cafile=str(authority.file))
    client = await dial(program, ssl=trust, server_hostname="localhost")
    await client.subscribe("books:BTC-USDT")
    assert (await client.until(is_data("books")))["action"] == "snapshot"
    async with aiohttp.ClientSession() as http:
        url = f"{program.rest}/api/v5/public/time"
        async with http.get(url, ssl=trust, server_hostname="localhost") as reply:
            assert (await reply.json())["code"] == "0"


async def test_more_connections_a_second_than_allowed_are_refused(start: Any, dial: Any) -> None:
    program = start(*QUIET, "--connection-limit", "3")
    for _ in range(3):
        await dial(program)
    with pytest.raises(InvalidStatus) as refused:
        await dial(program)
    assert refused.value.response.status_code == 429


async def test_handshakes_count_when_they_arrive(start: Any, dial: Any) -> None:
    """A simulator that reads two handshakes at once does not refuse them if they arrived a second apart."""
    program = start(*QUIET, "--connection-limit", "1")
    program.process.send_signal(signal.SIGSTOP)
    first = asyncio.create_task(dial(program))
    await asyncio.sleep(1.3)
    second = asyncio.create_task(dial(program))
    await asyncio.sleep(0.1)
    program.process.send_signal(signal.SIGCONT)
    assert [client.socket.state.name for client in await asyncio.gather(first, second)] == ["OPEN", "OPEN"]


async def test_a_client_that_reads_too_slowly_is_closed(start: Any, dial: Any, http: Any) -> None:
    program = start(*MARKET, "--unsent-limit", "1000")
    client = await dial(program, max_queue=1)
    await client.subscribe("books:BTC-USDT")
    for _ in range(100):
        async with http.post(f"{program.control}/faults/raw", json={"frame": "x" * 900_000}) as reply:
            assert reply.status == 200
        async with http.get(f"{program.control}/state") as reply:
            if (await reply.json())["counters"]["closedSlow"]:
                return
    raise AssertionError("the slow client was never closed")


async def test_rest_and_websocket_have_the_same_trades(start: Any, dial: Any, http: Any) -> None:
    program = start(*MARKET)
    client = await dial(program)
    await client.subscribe("trades:BTC-USDT")
    last = int((await client.until(is_data("trades")))["data"][-1]["tradeId"])
    rows: dict[int, str] = {}
    for _ in range(20):
        for row in (await client.until(is_data("trades")))["data"]:
            rows[int(row["tradeId"])] = row["px"]
            assert int(row["tradeId"]) - int(row["count"]) == last
            last = int(row["tradeId"])
    url = f"{program.rest}/api/v5/market/history-trades?instId=BTC-USDT&after={last + 1}"
    async with http.get(url) as reply:
        page = (await reply.json())["data"]
    by_id = {int(row["tradeId"]): row["px"] for row in page}
    assert list(by_id) == list(range(last, last - len(page), -1))
    assert all(by_id[trade_id] == price for trade_id, price in rows.items() if trade_id in by_id)


async def test_unknown_http_paths_are_not_found(quiet: Any, http: Any) -> None:
    program = quiet
    for path in ("/api/v5/nonsense", "/ws/v5/nonsense", "/"):
        async with http.get(f"{program.rest}{path}") as reply:
            assert reply.status == 404


async def log_in(client: Any, **wrong: str) -> Any:
    """Log in with the simulator's time, and return the answer."""
    timestamp = "1767225600"  # the start of a market; the tests end within the allowed 30 seconds
    mac = hmac.new(b"simulator-secret-key", f"{timestamp}GET/users/self/verify".encode(), hashlib.sha256)
    login = {"apiKey": "simulator-api-key", "passphrase": "simulator-passphrase", "timestamp": timestamp}
    login |= {"sign": base64.b64encode(mac.digest()).decode()} | wrong
    await client.socket.send(json.dumps({"op": "login", "args": [login]}))
    return await client.message()


async def test_account_pushes_its_holdings_and_their_changes(start: Any, dial: Any, control_of: Any) -> None:
    program = start("--market", "7", "--symbols", "BTC-USDT", "--rate", "1")
    client, control = await dial(program, "private"), control_of(program)
    assert (await log_in(client))["event"] == "login"
    await client.socket.send('{"op":"subscribe","args":[{"channel":"account"}]}')
    first = [await client.message() for _ in range(4)]
    assert [message.get("event", message.get("eventType")) for message in first] == [
        "subscribe",
        "channel-conn-count",
        "snapshot",
        "snapshot",
    ]
    assert first[0]["arg"] == {"channel": "account"}
    row = await control.post("/account/holding", asset="BTC", total="2", frozen="0.5")
    changed = await client.until(lambda message: message["eventType"] == "event_update")  # snapshots are repeated
    assert changed["data"][0]["details"] == [row]
    assert (await control.get("/truth/account"))["BTC"] == row
    assert await control.post("/account/key", passphrase="other") == {"closed": 1}
    assert await closed(client) == 4007
    client = await dial(program, "private")
    assert (await log_in(client))["code"] == "60024"
    assert await closed(client) == 4001


@pytest.mark.parametrize("port", [server, control])
async def test_a_client_that_leaves_before_its_answer_is_no_error(port: Any, caplog: Any) -> None:
    """A test client with short timeouts does this all the time."""

    async def leave(request: web.Request) -> web.StreamResponse:
        request.transport.abort()  # type: ignore[union-attr]
        response = web.StreamResponse()
        await response.prepare(request)
        return response

    app = port.application(Exchange(Okx(), Venue([]), Truth([], 1, 1), iter(()), 0, True, ServerOptions()))
    app.router.add_get("/leave", leave)
    async with TestServer(app) as listening, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get(listening.make_url("/leave"))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
