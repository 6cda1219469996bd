"""Binance's account: signatures, the subscription, and balances."""

import json

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.binance.account import BinanceAccount, BinanceSigner, sign
from market_collector.exchanges.binance.polls import BinancePolls
from market_collector.exchanges.interface import (
    AccountUpdate,
    Ack,
    CloseNotice,
    Credentials,
    Info,
    LoginRefusal,
    Lost,
    Message,
    Refusal,
    Request,
    Stamp,
    Unknown,
)
from market_collector.model.events import Balance
from market_collector.model.streams import ACCOUNT, DataType, Stream

BALANCES = Stream(ACCOUNT, DataType.BALANCE)
KEY = Credentials("the-key", "the-secret")
STAMP = Stamp(1_790_764_000_123_456_789, 1)


def codec() -> BinanceAccount:
    made = BinanceAccount([BALANCES])
    made.subscribe([BALANCES])
    return made


def read(text: str, used: BinanceAccount | None = None) -> Message:
    (message,) = (used or codec()).read(text.encode(), 7)
    return message


def event(**fields: object) -> str:
    return json.dumps({"subscriptionId": 0, "event": fields})


# -- signatures


def test_signature_is_that_of_the_documentation() -> None:
    """The example of Binance's REST documentation, section SIGNED endpoint security."""
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    query = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    assert sign(secret, query) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def test_subscription_is_signed_over_its_sorted_parameters() -> None:
    (text,) = BinanceAccount([BALANCES]).subscribe([BALANCES])
    assert "the-" not in text
    signed = json.loads(BinanceSigner().frame(text, KEY, STAMP, ""))
    signature = sign("the-secret", "apiKey=the-key&timestamp=1790764000123")
    params = {"apiKey": "the-key", "timestamp": 1790764000123, "signature": signature}
    assert signed == {"id": "1", "method": "userDataStream.subscribe.signature", "params": params}


def test_other_requests_have_no_secret() -> None:
    (text,) = codec().unsubscribe([BALANCES])
    assert BinanceSigner().frame(text, KEY, STAMP, "") == text == '{"id":"2","method":"userDataStream.unsubscribe"}'


def test_rest_request_is_signed_over_its_query() -> None:
    request = BinancePolls().request(BALANCES)
    assert request == Request("/api/v3/account?omitZeroBalances=true", cost=20, is_signed=True)
    signed = BinanceSigner().request(request, KEY, STAMP)
    query = "omitZeroBalances=true&timestamp=1790764000123"
    assert signed.path == f"/api/v3/account?{query}&signature={sign('the-secret', query)}"
    assert signed.headers == (("X-MBX-APIKEY", "the-key"),)


# -- answers


def test_subscription_is_acknowledged() -> None:
    used = codec()
    used.unsubscribe([BALANCES])
    assert read('{"id":"1","status":200,"result":{"subscriptionId":0},"rateLimits":[]}', used) == Ack((BALANCES,))
    assert read('{"id":"2","status":400,"error":{"code":-1000,"msg":"x"}}', used) == Ack(())


@pytest.mark.parametrize("code", [-1022, -2014, -2015])
def test_refused_key_is_a_refused_login_without_its_words(code: int) -> None:
    refusal = read(f'{{"id":"1","status":401,"error":{{"code":{code},"msg":"the-secret"}}}}')
    assert isinstance(refusal, LoginRefusal)
    assert (refusal.is_permanent, refusal.is_about_time) == (True, False)
    assert str(code) in refusal.message
    assert "the-secret" not in refusal.message


def test_refused_time_is_about_the_clock() -> None:
    refusal = read('{"id":"1","status":400,"error":{"code":-1021,"msg":"outside of the recvWindow"}}')
    assert isinstance(refusal, LoginRefusal)
    assert (refusal.is_permanent, refusal.is_about_time) == (False, True)


@pytest.mark.parametrize("request_id", ['"1"', "null"])
def test_other_error_is_temporary(request_id: str) -> None:
    refusal = read(f'{{"id":{request_id},"status":429,"error":{{"code":-1003,"msg":"the-secret"}}}}')
    message = "Binance error -1003 at the subscription of the account: too many requests"
    assert refusal == Refusal((BALANCES,), "ExchangeError", message, is_permanent=False)


# -- events


def test_changed_balances_have_the_time_of_the_account() -> None:
    rows = [{"a": "BTC", "f": "0.01485691", "l": "0.10000000"}, {"a": "ETH", "f": "0.00000000", "l": "0.00000000"}]
    update = read(event(e="outboundAccountPosition", E=1564034571105, u=1564034571073, B=rows))
    time_ns = 1564034571073_000_000
    assert update == AccountUpdate(
        BALANCES,
        [
            Balance("binance", ACCOUNT, time_ns, 7, "BTC", "0.11485691", "0.01485691", "0.10000000"),
            Balance("binance", ACCOUNT, time_ns, 7, "ETH", "0", "0", "0"),
        ],
        time_ns,
        is_whole=False,
    )


def test_sum_of_large_amounts_is_exact() -> None:
    row = {"a": "SHIB", "f": "123456789012345678901234567890.12345678", "l": "0.00000001"}
    update = read(event(e="outboundAccountPosition", E=1, u=1, B=[row]))
    assert isinstance(update, AccountUpdate)
    assert update.balances[0].total == "123456789012345678901234567890.12345679"


@pytest.mark.parametrize("kind", ["balanceUpdate", "externalLockUpdate", "executionReport", "listStatus"])
def test_event_without_balances_is_understood(kind: str) -> None:
    assert read(event(e=kind, E=1, a="BTC", d="100.0")) == Info()


def test_end_of_the_subscription_means_that_changes_are_missing() -> None:
    assert read(event(e="eventStreamTerminated", E=1)) == Lost("Binance ended the subscription of the account")


def test_shutdown_is_announced_without_a_subscription() -> None:
    assert read('{"event":{"e":"serverShutdown","E":1770123456789}}') == CloseNotice("the server shuts down")
    assert read(event(e="new", E=1)) == Unknown("new")


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "{}",
        event(e="outboundAccountPosition", E=1, u=1, B=[{"a": "BTC", "f": "x", "l": "0"}]),
        event(e="outboundAccountPosition", E=1, u=1, B=[{"a": "", "f": "1", "l": "0"}]),
    ],
)
def test_malformed_frame_is_an_error(text: str) -> None:
    with pytest.raises(FrameError):
        read(text)


# -- the account over REST


def test_recorded_account_is_whole() -> None:
    (frame,) = recordings.received(recordings.BINANCE_ACCOUNT)
    body = json.dumps(json.loads(frame.text)["result"]).encode()
    update = BinancePolls().read(BALANCES, body, 7)
    assert isinstance(update, AccountUpdate)
    assert (update.is_whole, update.time_ns) == (True, 1790686454570_000_000)
    held = [(balance.asset, balance.total, balance.available, balance.locked) for balance in update.balances]
    assert held[0] == ("BTC", "0.01485691", "0.01485691", "0.00000000")
    assert [asset for asset, *_ in held] == ["BTC", "USDT", "USDC"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"updateTime":1,"balances":[{"asset":"A","free":"-1","locked":"0"}]}'])
def test_malformed_account_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="account/balance"):
        BinancePolls().read(BALANCES, body, 7)
