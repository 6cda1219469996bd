"""Signatures and tokens of imaginary exchanges, checked by real servers."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector_settings import settings_of
from imaginary_exchange import ImaginaryExchange
from imaginary_server import ImaginaryServer, collection, imaginary_server
from imaginary_signers import KEY, Signatures, Tokens, TokenServer, has_signed_query, is_signed
from market_collector.errors import CredentialsMissingError, RequestFailedError
from market_collector.exchanges.interface import REST, WEBSOCKET, Access, Credentials, Request, Route, Stamp
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Raw, Record
from market_collector.model.streams import DataType, Stream, StreamState
from market_collector.net import login
from market_collector.net.clock import ClockWatch, read_clock
from market_collector.net.login import LoginGate
from market_collector.net.nonce import Nonces
from market_collector.net.rest import Rest
from rest_apis import API, Received, Scripted, scripted, serving

STREAM = Stream("BTC-USDT", DataType.TRADE)
ACCOUNT = Request("/account", is_signed=True)
ROUTES = {"all": Route(access=Access.SIGNED)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in KEY.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def exchange(signer: Signatures, server: ImaginaryServer, rest: str = "http://127.0.0.1:9") -> ImaginaryExchange:
    hosts = {WEBSOCKET: server.websocket, REST: rest}
    return ImaginaryExchange(hosts=hosts, routes=ROUTES, signer=lambda: signer, rest_api=API)


def frames(server: ImaginaryServer) -> list[Any]:
    return [json.loads(text) for client in server.clients for _, text in client.frames]


def has_secret(found: object, *more: str) -> bool:
    return any(secret in repr(found) for secret in (*KEY.values(), "signature", *more))


async def test_requests_of_a_connection_are_signed_and_recorded_without_it(folder: Path) -> None:
    async with imaginary_server() as server:
        fields: dict[str, Any] = {"credentials_directory": folder, "store_raw_data": True, "endpoint_rest": ""}
        async with collection(exchange(Signatures(), server), STREAM, **fields) as running:
            await running.is_complete()
            texts = [text for _, text in server.clients[0].frames]
    assert [is_signed(text) for text in texts] == [True]
    raw = [record for record in running.records if isinstance(record, Raw)]
    assert json.loads(raw[0].frame) == {"op": "subscribe", "id": 1, "streams": ["BTC-USDT/trade"]}
    assert raw[1].frame == "(not kept: it belongs to a login)", "the answer may repeat the request"
    assert raw[2].frame.startswith('{"trade"')
    assert not has_secret(running.records)


async def test_frames_carry_a_token_from_a_signed_post(folder: Path) -> None:
    tokens = TokenServer()
    with serving(tokens.answer) as rest:
        async with imaginary_server() as server:
            fields: dict[str, Any] = {"credentials_directory": folder, "store_raw_data": True, "endpoint_rest": ""}
            async with collection(exchange(Tokens(), server, rest), STREAM, **fields) as running:
                await running.is_complete()
                running.supervisor.reconnect(None, "another connection")
                await running.comes(lambda: len(server.clients) == 2 and server.clients[1].frames)
            assert [frame["token"] for frame in frames(server) if frame["op"] == "subscribe"] == ["token-1", "token-2"]
    assert not has_secret(running.records, "token-")


class Place:
    """A gate and its REST."""

    def __init__(self, folder: Path, signer: Signatures, rest: str) -> None:
        self.rest = Rest({REST: rest}, API, tls=None)
        self.ledger = Ledger("imaginary", [STREAM], 60.0, read_clock())
        self.records: list[Record] = []
        venue = ImaginaryExchange(routes=ROUTES, signer=lambda: signer, rest_api=API)
        watch = ClockWatch(API, self.ledger, self.rest, read_clock)
        settings = settings_of("", DataType.TRADE, credentials_directory=folder)
        self.gate = LoginGate(settings, venue, self.ledger, watch, self.records.extend, self.rest)


async def test_token_is_used_again_until_it_is_old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TokenServer()
    with serving(tokens.answer) as rest:
        place = Place(folder, Tokens(), rest)
        texts = [await place.gate.signed("{}"), await place.gate.signed("{}")]
        monkeypatch.setattr(Tokens, "token_life_s", 0.0)
        texts.append(await place.gate.signed("{}"))
        await place.gate.granted()
        monkeypatch.undo()
        texts.append(await place.gate.signed("{}"))
    assert [json.loads(text)["token"] for text in texts] == ["token-1", "token-1", "token-2", "token-3"]
    assert "token-" not in repr(vars(place.gate))


async def test_signed_requests_arrive_with_rising_nonces(folder: Path) -> None:
    tokens = TokenServer()
    with serving(tokens.answer) as rest:
        place = Place(folder, Tokens(), rest)
        request = Request("/0/private/GetWebSocketsToken", "POST", is_signed=True)
        await asyncio.gather(*(place.rest.fetch(request) for _ in range(8)))
    assert tokens.tokens == 8
    assert tokens.nonces == sorted(set(tokens.nonces))


async def test_signed_request_waits_for_the_pause_that_the_one_before_caused(folder: Path) -> None:
    times: list[float] = []

    def answer(path: str, headers: dict[str, str], body: bytes) -> Scripted:
        times.append(time.monotonic())
        return 200, {}, b'{"error":["EAPI:Rate limit exceeded"]}' if len(times) == 1 else b"{}"

    with serving(answer) as rest:
        place = Place(folder, Signatures(), rest)
        answers = await asyncio.gather(*(place.rest.fetch(ACCOUNT) for _ in range(2)), return_exceptions=True)
    assert isinstance(answers[0], RequestFailedError)
    assert answers[1] == b"{}"
    assert times[1] - times[0] >= 0.3


def test_nonces_rise_when_the_clock_is_set_back() -> None:
    nonces = Nonces()
    assert [nonces.next(time_ns) for time_ns in (100, 200, 50, 50, 201, 300)] == [100, 200, 201, 202, 203, 300]


async def test_signed_request_has_a_signature_and_its_header(folder: Path) -> None:
    seen: list[tuple[str, str]] = []

    def answer(path: str, headers: dict[str, str], body: bytes) -> Scripted:
        seen.append((path, headers["x-key"]))
        return 200, {}, b"{}"

    with serving(answer) as rest:
        assert await Place(folder, Signatures(), rest).rest.fetch(ACCOUNT) == b"{}"
    ((path, key),) = seen
    assert has_signed_query(path)
    assert key == KEY["apiKey"]


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b'{"error":["EAPI:Invalid key the-api-key, signature"]}'),
        (401, {}, b"no key the-api-key"),
        (302, {"Location": "http://x/?the-api-key"}, b""),
        (500, {}, b"the-api-key"),
    ],
)
async def test_error_of_a_signed_request_repeats_nothing(folder: Path, answer: Scripted) -> None:
    with scripted([answer]) as rest, pytest.raises(RequestFailedError, match=f"^GET {rest}/account: ") as raised:
        await Place(folder, Signatures(), rest).rest.fetch(ACCOUNT)
    assert not has_secret((raised.value, vars(raised.value), str(raised.value)))


async def test_error_that_the_adapter_does_not_judge_repeats_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(API, "refusal", lambda *_: None)
    with (
        scripted([(401, {}, b"no key the-api-key")]) as rest,
        pytest.raises(RequestFailedError, match=r"an HTTP error$") as raised,
    ):
        await Place(folder, Signatures(), rest).rest.fetch(ACCOUNT)
    assert not has_secret((raised.value, vars(raised.value), str(raised.value)))


async def test_unanswered_signed_request_says_why(folder: Path) -> None:
    with pytest.raises(RequestFailedError, match=r"GET http://127.0.0.1:9/account: .*refused") as raised:
        await Place(folder, Signatures(), "http://127.0.0.1:9").rest.fetch(ACCOUNT)
    assert not has_secret((raised.value, str(raised.value)))


async def test_key_that_no_header_may_have_is_not_repeated(folder: Path) -> None:
    """http.client shows the whole value of a header that has a line break."""
    (folder / "apiKey").write_text("the-api-key\nthe-rest")
    with (
        scripted([(200, {}, b"{}")]) as rest,
        pytest.raises(RequestFailedError, match=r"account: ValueError$") as raised,
    ):
        await Place(folder, Signatures(), rest).rest.fetch(ACCOUNT)
    assert not has_secret((raised.value, str(raised.value)))


class Malformed(Signatures):
    """Cannot sign with the key, and repeats it in the error."""

    def frame(self, text: str, credentials: Credentials, stamp: Stamp, token: str) -> str:
        raise ValueError(f"no base64: {credentials[1]}")

    def request(self, request: Request, credentials: Credentials, stamp: Stamp) -> Request:
        raise ValueError(f"no base64: {credentials[1]}")


@pytest.mark.parametrize("use", [lambda place: place.gate.signed("{}"), lambda place: place.rest.fetch(ACCOUNT)])
async def test_malformed_key_is_an_error_that_does_not_repeat_it(folder: Path, use: Callable[[Place], Any]) -> None:
    place = Place(folder, Malformed(), "http://127.0.0.1:9")
    expected = pytest.raises(
        (CredentialsMissingError, RequestFailedError), match=r"cannot be used to sign: ValueError$"
    )
    with expected as raised:
        await use(place)
    assert not has_secret((raised.value, str(raised.value)))


async def is_granted(gate: LoginGate, within_s: float = 0.3) -> bool:
    try:
        await asyncio.wait_for(gate.granted(), within_s)
    except TimeoutError:
        return False
    return True


async def test_key_refused_over_rest_waits_for_another_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "POLL_S", 0.01)
    received = Received()
    with scripted([(200, {}, b'{"error":["EAPI:Invalid key"]}')], received) as rest:
        place = Place(folder, Tokens(), rest)
        with pytest.raises(RequestFailedError, match="API key refused"):
            await place.gate.signed("{}")
        progress = place.ledger.streams[STREAM]
        assert (progress.state, progress.reason) == (StreamState.REFUSED, "CredentialsRefused")
        assert not await is_granted(place.gate)
        (folder / "privateKey").write_text("another")
        assert await is_granted(place.gate, 5.0)
    assert len(received) == 2, "the token, and the time"


async def test_time_refused_over_rest_asks_for_the_exchange_s_time(folder: Path) -> None:
    received = Received()

    def answer(path: str, headers: dict[str, str], body: bytes) -> Scripted:
        if path == API.time().path:
            return 200, {}, json.dumps({"code": "0", "data": [{"ts": str(time.time_ns() // 1_000_000)}]}).encode()
        return 200, {}, b'{"error":["EAPI:Invalid timestamp"]}'

    with serving(answer, received) as rest:
        place = Place(folder, Signatures(), rest)
        assert await is_granted(place.gate, 5.0)
        assert await is_granted(place.gate, 5.0)
        assert len(received) == 1, "the time is known"
        with pytest.raises(RequestFailedError, match="time of the request refused"):
            await place.rest.fetch(ACCOUNT)
        assert await is_granted(place.gate, 5.0)
    assert len(received) == 3


@pytest.mark.parametrize("use", [lambda place: place.gate.signed("{}"), lambda place: place.rest.fetch(ACCOUNT)])
async def test_missing_parts_are_named_by_the_signer(tmp_path: Path, use: Callable[[Place], Any]) -> None:
    (tmp_path / "apiKey").write_text("k")
    with pytest.raises((CredentialsMissingError, RequestFailedError), match="no privateKey in"):
        await use(Place(tmp_path, Signatures(), "http://127.0.0.1:9"))


async def test_unreadable_token_ends_the_connection(folder: Path) -> None:
    with scripted([(200, {}, b"{}")]) as rest:
        async with imaginary_server() as server:
            fields: dict[str, Any] = {"credentials_directory": folder, "endpoint_rest": ""}
            async with collection(exchange(Tokens(), server, rest), STREAM, **fields) as running:
                await running.comes(lambda: len(server.clients) > 1)
    assert "the answer with the token cannot be read" in repr(running.records)
