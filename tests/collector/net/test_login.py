"""Login: the selected key, a missing key, and the retry after a refused key."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from market_collector.config.settings import Settings
from market_collector.errors import CredentialsMissingError
from market_collector.exchanges.okx.account import OkxSigner
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record, Refused
from market_collector.model.streams import ACCOUNT, DataType, Stream, StreamState
from market_collector.net import login
from market_collector.net.clock import ClockWatch, read_clock
from market_collector.net.login import LoginGate
from market_collector.net.rest import Rest

STREAM, TRADES = Stream(ACCOUNT, DataType.BALANCE), Stream("BTC-USDT", DataType.TRADE)
LOGIN = '{"op":"login"}'
NOBODY = "http://127.0.0.1:9"


class Place:
    """A login gate with a directory for its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = Settings(
            "a", "b", 0, "okx", ("BTC-USDT",), (DataType.BALANCE,), secret_name="okx-key", credentials_directory=folder
        )  # fmt: skip
        self.records: list[Record] = []
        self.ledger = Ledger("okx", [STREAM, TRADES], 60.0, read_clock())
        self.progress = self.ledger.streams[STREAM]
        rest = Rest({"rest": NOBODY}, Okx.rest_api, tls=None)
        watch = ClockWatch(Okx().rest_api, self.ledger, rest, read_clock)
        self.login_gate = LoginGate(settings, Okx(), self.ledger, watch, self.records.extend, rest)

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.folder / name).write_text(text)

    def is_whole(self, passphrase: str = "p") -> None:
        self.write(apiKey="k", secretKey="s", passphrase=passphrase)

    async def is_granted(self, within_s: float = 5.0) -> bool:
        try:
            await asyncio.wait_for(self.login_gate.granted(), within_s)
        except TimeoutError:
            return False
        return True


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(login, "POLL_S", 0.01)
    return Place(tmp_path)


async def test_key_is_used_at_once_without_trailing_newlines(place: Place) -> None:
    place.write(apiKey="k\n", secretKey="s\n", passphrase="p\n")
    assert await place.is_granted()
    args = json.loads(place.login_gate.sign(LOGIN))["args"][0]
    assert (args["apiKey"], args["passphrase"]) == ("k", "p")
    assert place.records == []


async def test_missing_key_is_reported_once_by_name(place: Place) -> None:
    place.write(apiKey="k", secretKey="")
    assert not await place.is_granted(0.1)
    (refused,) = place.records
    assert isinstance(refused, Refused)
    assert (refused.stream, place.progress.state, place.progress.reason) == (
        "account/balance",
        StreamState.REFUSED,
        "CredentialsMissing",
    )
    assert f"Secret okx-key: no secretKey, passphrase in {place.folder}" in place.progress.message
    assert place.ledger.ids.streams[TRADES].state is StreamState.PENDING
    place.is_whole()
    assert await place.is_granted()
    assert place.progress.state is StreamState.PENDING


async def test_a_stream_that_an_older_connection_still_brings_is_left_alone(place: Place) -> None:
    place.progress.set_state(StreamState.LIVE, "", read_clock())
    assert not await place.is_granted(0.05)
    assert place.progress.state is StreamState.LIVE


async def test_a_refused_key_waits_for_another_one(place: Place) -> None:
    place.is_whole("wrong")
    assert await place.is_granted()
    place.login_gate.sign(LOGIN)
    place.login_gate.reject_key()
    assert not await place.is_granted(0.1)
    place.is_whole("right")
    assert await place.is_granted()


async def test_refused_key_is_the_one_of_the_login_when_changed_meanwhile(place: Place) -> None:
    place.is_whole("old")
    place.login_gate.sign(LOGIN)
    place.is_whole("new")
    place.login_gate.reject_key()
    assert await place.is_granted()


async def test_a_refused_key_is_tried_again_after_a_while(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.is_whole()
    place.login_gate.sign(LOGIN)
    place.login_gate.reject_key()
    assert not await place.is_granted(0.05)
    monkeypatch.setattr(login, "REJECTED_RETRY_S", 0.0)
    assert await place.is_granted()


def test_login_error_names_the_missing_parts_when_there_is_no_key(place: Place) -> None:
    with pytest.raises(CredentialsMissingError, match="apiKey, secretKey, passphrase"):
        place.login_gate.sign(LOGIN)


@pytest.mark.parametrize("spoil", [lambda file: file.mkdir(), lambda file: file.write_bytes(b"\xff\xfe")])
def test_files_that_cannot_be_read_are_missing(place: Place, spoil: Callable[[Path], object]) -> None:
    place.is_whole()
    for name in OkxSigner.fields:
        (place.folder / name).unlink()
        spoil(place.folder / name)
    with pytest.raises(CredentialsMissingError):
        place.login_gate.sign(LOGIN)
