"""Bybit's account: the login, signatures, and balances."""

import json

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.bybit.account import BybitAccount, BybitSigner, sign
from market_collector.exchanges.bybit.balances import BybitPolls
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.interface import (
    Access,
    AccountUpdate,
    Ack,
    Credentials,
    Info,
    LoggedIn,
    LoginRefusal,
    Message,
    Pong,
    Refusal,
    Stamp,
)
from market_collector.model.events import Balance
from market_collector.model.streams import ACCOUNT, DataType, Stream

BALANCES = Stream(ACCOUNT, DataType.BALANCE)
KEY = Credentials("the-key", "the-secret")
STAMP = Stamp(1_790_764_000_123_456_789, 1)


def read(text: str, used: BybitAccount | None = None) -> Message:
    (message,) = (used or BybitAccount([BALANCES])).read(text.encode(), 7)
    return message


def answer(op: str, *, success: bool = True, words: str = "") -> Message:
    return read(json.dumps({"success": success, "ret_msg": words, "op": op, "conn_id": "x"}))


def test_login_is_signed_and_valid_for_ten_seconds() -> None:
    route = Bybit.routes["private"]
    frame = json.loads(BybitSigner().frame(route.login_frame, KEY, STAMP, ""))
    expires = 1_790_764_010_123
    assert frame == {"op": "auth", "args": ["the-key", expires, sign("the-secret", f"GET/realtime{expires}")]}
    assert route.access is Access.LOGIN
    assert "secret" not in route.login_frame


def test_signature_is_a_hexadecimal_hmac() -> None:
    """RFC 4231, test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign("Jefe", "what do ya want for nothing?") == expected


def test_request_is_signed_in_its_headers() -> None:
    request = BybitSigner().request(BybitPolls().request(BALANCES), KEY, STAMP)
    headers = dict(request.headers)
    text = "1790764000123" + "the-key" + "5000" + "accountType=UNIFIED"
    assert headers["X-BAPI-SIGN"] == sign("the-secret", text)
    assert (headers["X-BAPI-API-KEY"], headers["X-BAPI-TIMESTAMP"]) == ("the-key", "1790764000123")
    assert request.path == "/v5/account/wallet-balance?accountType=UNIFIED"
    assert "the-secret" not in str(request)


def test_recorded_frames_are_a_login_an_ack_and_a_change() -> None:
    used = BybitAccount([BALANCES])
    texts = [frame.text for frame in recordings.received(recordings.BYBIT_ACCOUNT)]
    login, ack, change = (read(text, used) for text in texts)
    assert (login, ack) == (LoggedIn(), Ack((BALANCES,)))
    assert isinstance(change, AccountUpdate)
    assert not change.is_whole
    assert change.time_ns == 1_700_034_722_104_000_000
    (bitcoin,) = [each for each in change.balances if each.asset == "BTC"]
    assert (bitcoin.total, bitcoin.available, bitcoin.locked) == ("0.00102964", "0.00102964", "0")


def test_wallet_is_subscribed_by_one_request() -> None:
    used = BybitAccount([BALANCES])
    assert [json.loads(text) for text in (*used.subscribe([BALANCES]), *used.unsubscribe([BALANCES]))] == [
        {"req_id": "1", "op": "subscribe", "args": ["wallet"]},
        {"req_id": "2", "op": "unsubscribe", "args": ["wallet"]},
    ]


def test_other_answers_are_distinguished() -> None:
    assert answer("unsubscribe") == Info()
    assert read('{"req_id":"1","op":"pong","args":["1675418560633"],"conn_id":"x"}') == Pong()
    refusal = answer("subscribe", success=False, words="error:handler not found,topic:wallet")
    assert isinstance(refusal, Refusal)
    assert refusal.streams == (BALANCES,)


@pytest.mark.parametrize(
    ("words", "is_permanent", "is_about_time"),
    [
        ("API key is invalid.", True, False),
        ("Error sign", True, False),
        ("Your api key has expired.", True, False),
        ("Request expired", False, True),
        ("invalid request, please check your server timestamp or recv_window param.", False, True),
        ("Params Error", False, False),
        ("Server Timeout", False, False),
    ],
)
def test_refused_login_is_judged_without_the_words(words: str, is_permanent: bool, is_about_time: bool) -> None:
    refusal = answer("auth", success=False, words=words)
    assert isinstance(refusal, LoginRefusal)
    assert (refusal.is_permanent, refusal.is_about_time) == (is_permanent, is_about_time)
    assert words not in refusal.message


def coin(**fields: str) -> Balance:
    wallet = {"accountType": "UNIFIED", "coin": [{"coin": "USDT", "spotBorrow": "0", "locked": "0"} | fields]}
    body = {"retCode": 0, "retMsg": "OK", "result": {"list": [wallet]}, "time": 1_790_000_000_000}
    (balance,) = BybitPolls().read(BALANCES, json.dumps(body).encode(), 7).balances
    return balance


@pytest.mark.parametrize(
    ("fields", "amounts"),
    [
        ({"walletBalance": "10", "locked": "2.5"}, ("10", "7.5", "2.5")),
        ({"walletBalance": "10", "locked": "2", "spotBorrow": "3"}, ("7", "5", "2")),
        ({"walletBalance": "10", "locked": "", "spotBorrow": ""}, ("10", "10", None)),
        ({"walletBalance": "", "locked": "1"}, (None, None, "1")),
        ({"walletBalance": "0.0"}, ("0", "0", "0")),
        ({"walletBalance": "1", "spotBorrow": "4"}, ("-3", "0", "0")),
        ({"walletBalance": "-3"}, ("-3", "0", "0")),
    ],
)
def test_what_is_borrowed_or_locked_is_not_available(fields: dict[str, str], amounts: tuple[str | None, ...]) -> None:
    balance = coin(**fields)
    assert (balance.total, balance.available, balance.locked) == amounts


def test_recorded_account_is_whole() -> None:
    body = next(frame.bytes for frame in recordings.received(recordings.BYBIT_REST) if "wallet" in frame.url)
    update = BybitPolls().read(BALANCES, body, 7)
    assert update.is_whole
    assert update.balances


def test_answer_that_cannot_be_read_is_not_repeated() -> None:
    for body in (
        b'{"retCode":10016,"retMsg":"the-secret"}',
        b"the-secret",
        b'{"retCode":0,"result":{"list":"the-secret"}}',
    ):
        with pytest.raises(FrameError) as raised:
            BybitPolls().read(BALANCES, body, 7)
        assert "the-secret" not in str(raised.value)


def test_frame_that_cannot_be_read_has_its_stream_after_the_login() -> None:
    used = BybitAccount([BALANCES])
    for stream in (None, BALANCES):
        with pytest.raises(FrameError) as raised:
            used.read(b'{"topic":"wallet","data":1}', 7)
        assert raised.value.stream == stream
        used.read(b'{"success":true,"ret_msg":"","op":"auth","conn_id":"x"}', 7)
