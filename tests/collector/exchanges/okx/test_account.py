"""OKX's private connection: the signature of the login, account updates, and refusals of the key."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.interface import (
    Access,
    AccountUpdate,
    Ack,
    CloseNotice,
    Credentials,
    Info,
    LoggedIn,
    LoginRefusal,
    Message,
    Pong,
    Refusal,
    Stamp,
)
from market_collector.exchanges.okx.account import LOGIN_REFUSALS, OkxAccount, login, sign
from market_collector.exchanges.okx.channels import PRIVATE
from market_collector.exchanges.okx.exchange import Okx
from market_collector.model.streams import ACCOUNT, DataType, Stream

STREAM = Stream(ACCOUNT, DataType.BALANCE)
NOW = 1_790_764_000_900_000_000


@pytest.fixture
def codec() -> OkxAccount:
    return OkxAccount([STREAM])


def read(codec: OkxAccount, message: dict[str, Any] | str) -> Message:
    text = message if isinstance(message, str) else json.dumps(message)
    (found,) = codec.read(text.encode(), 7)
    return found


def logged_in(codec: OkxAccount) -> OkxAccount:
    assert read(codec, {"event": "login", "code": "0", "msg": ""}) == LoggedIn()
    return codec


def page(*currencies: str, kind: str = "snapshot", number: int = 1, is_last: bool = True) -> dict[str, Any]:
    details = [
        {"ccy": name, "cashBal": "3", "availBal": "2", "frozenBal": "1", "uTime": "5000", "availEq": ""}
        for name in currencies
    ]
    head = {"arg": {"channel": "account", "uid": "44*"}, "eventType": kind, "curPage": number, "lastPage": is_last}
    return head | {"data": [{"uTime": "6000", "details": details}]}


def test_balances_use_the_private_connection() -> None:
    okx = Okx()
    assert okx.route(STREAM) == PRIVATE
    assert (okx.routes[PRIVATE].access, okx.routes["public"].access) == (Access.LOGIN, Access.PUBLIC)
    assert okx.codec(PRIVATE, [STREAM]).path == "/ws/v5/private"


def test_login_is_signed_over_time_in_seconds_verb_and_path() -> None:
    key = Credentials("key", "secret", "phrase")
    frame = json.loads(Okx().signer().frame(Okx.routes[PRIVATE].login_frame, key, Stamp(NOW, NOW), ""))
    mac = hmac.new(b"secret", b"1790764000GET/users/self/verify", hashlib.sha256)
    assert frame == {
        "op": "login",
        "args": [
            {
                "apiKey": "key",
                "passphrase": "phrase",
                "timestamp": "1790764000",
                "sign": base64.b64encode(mac.digest()).decode(),
            }
        ],
    }


def test_signature_equals_that_of_openssl() -> None:
    # printf '%s' '1538054050GET/users/self/verify' | openssl dgst -sha256 -hmac SECRET -binary | base64
    assert sign("22582BD0CFF14C41EDBF1AB98506286D", "1538054050") == "+LdIr8lkkvhr5hoA3g9TMC0+uQJ849ftAcocA/ouu4M="


def test_documented_frames_are_decoded(codec: OkxAccount) -> None:
    frames = [frame.text for frame in recordings.received(recordings.OKX_ACCOUNT)]
    messages = [read(codec, text) for text in frames]
    assert messages[:2] == [LoggedIn(), Ack((STREAM,))]
    update = next(message for message in messages if isinstance(message, AccountUpdate))
    (first, *_) = update.balances
    assert (first.asset, first.total, first.available, first.locked) == (
        "USDT",
        "4750.426970691436",
        "4734.371190691436",
        "158.57998",
    )
    assert first.symbol == ACCOUNT
    assert update.is_whole
    assert codec.subscribe([STREAM]) == ['{"id":"1","op":"subscribe","args":[{"channel":"account"}]}']
    assert codec.unsubscribe([STREAM]) == ['{"id":"2","op":"unsubscribe","args":[{"channel":"account"}]}']


def test_snapshot_is_complete_when_its_last_page_arrives(codec: OkxAccount) -> None:
    assert read(logged_in(codec), page("BTC", "ETH", is_last=False)) == Info()
    update = read(codec, page("USDT", number=2))
    assert isinstance(update, AccountUpdate)
    assert [balance.asset for balance in update.balances] == ["BTC", "ETH", "USDT"]
    assert (update.time_ns, update.balances[0].exchange_time_ns) == (6_000_000_000, 5_000_000_000)


def test_restarted_snapshot_discards_earlier_pages(codec: OkxAccount) -> None:
    read(logged_in(codec), page("BTC", is_last=False))
    update = read(codec, page("ETH"))
    assert isinstance(update, AccountUpdate)
    assert [balance.asset for balance in update.balances] == ["ETH"]


def test_update_between_pages_contains_only_changed_balances(codec: OkxAccount) -> None:
    read(logged_in(codec), page("BTC", is_last=False))
    update = read(codec, page("USDT", kind="event_update"))
    assert isinstance(update, AccountUpdate)
    assert not update.is_whole
    update = read(codec, page("ETH", number=2))
    assert isinstance(update, AccountUpdate)
    assert [balance.asset for balance in update.balances] == ["BTC", "ETH"]


def test_empty_amounts_become_null(codec: OkxAccount) -> None:
    push = page("BTC")
    push["data"][0]["details"][0] |= {"availBal": "", "frozenBal": ""}
    update = read(logged_in(codec), push)
    assert isinstance(update, AccountUpdate)
    assert (update.balances[0].total, update.balances[0].available, update.balances[0].locked) == ("3", None, None)


@pytest.mark.parametrize("code", sorted(LOGIN_REFUSALS))
def test_login_refusal_is_permanent_for_codes_of_the_key(codec: OkxAccount, code: str) -> None:
    refusal = read(codec, {"event": "error", "code": code, "msg": "whatever"})
    assert isinstance(refusal, LoginRefusal)
    assert refusal.is_permanent
    assert code in refusal.message


@pytest.mark.parametrize(
    ("code", "is_about_time"), [("60004", True), ("60006", True), ("60014", False), ("63999", False)]
)
def test_login_refusal_is_temporary_for_other_codes(codec: OkxAccount, code: str, is_about_time: bool) -> None:
    refusal = read(codec, {"event": "error", "code": code, "msg": "whatever"})
    assert isinstance(refusal, LoginRefusal)
    assert (refusal.is_permanent, refusal.is_about_time) == (False, is_about_time)


def test_refusal_hides_the_login_that_the_exchange_repeats(codec: OkxAccount) -> None:
    frame = login(Credentials("key", "secret", "my-passphrase"), NOW)
    refusal = read(codec, {"event": "error", "code": "60012", "msg": f"Invalid request: {frame}"})
    assert "my-passphrase" not in repr(refusal)
    assert "60012" in repr(refusal)


def test_error_after_the_login_refuses_the_stream(codec: OkxAccount) -> None:
    logged_in(codec)
    assert read(codec, {"event": "error", "code": "60018", "msg": "no"}) == Refusal(
        (STREAM,), "ChannelNotOffered", "OKX error 60018: no", True
    )
    many = read(codec, {"event": "channel-conn-count-error", "channel": "account", "connCount": "31"})
    assert isinstance(many, Refusal)
    assert not many.is_permanent
    lost = read(codec, {"event": "error", "code": "60011", "msg": "Please log in"})
    assert isinstance(lost, LoginRefusal)


def test_other_documented_events_are_decoded(codec: OkxAccount) -> None:
    logged_in(codec)
    assert read(codec, "pong") == Pong()
    assert read(codec, {"event": "channel-conn-count", "channel": "account", "connCount": "1"}) == Info()
    assert read(codec, {"event": "unsubscribe", "arg": {"channel": "account"}}) == Info()
    assert read(codec, {"event": "notice", "code": "64008", "msg": "soon"}) == CloseNotice("soon")


@pytest.mark.parametrize(
    "frame", ["{", "[]", '{"event":"party"}', json.dumps(page("BTC", kind="dream")), json.dumps(page("BTC")).replace('"3"', '"x"')]
)  # fmt: skip
def test_undocumented_frame_is_an_error(codec: OkxAccount, frame: str) -> None:
    with pytest.raises(FrameError):
        read(logged_in(codec), frame)


def test_credentials_hide_the_key_in_repr() -> None:
    key = Credentials("my-api-key", "my-secret", "my-passphrase")
    assert not [text for text in (repr(key), str(key), f"{key!r:>40}") if "my-" in text]
