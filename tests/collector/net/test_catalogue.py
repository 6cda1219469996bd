"""The catalogue of an exchange, from an HTTP server that gives one answer."""

import time

import pytest

from market_collector.errors import RequestFailedError
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.okx.exchange import Okx
from market_collector.net.catalogue import catalogue
from rest_apis import answering, pages_of_bybit, served

OKX = Okx()
ONE = b'{"code":"0","msg":"","data":[{"instId":"ETH-USDT","state":"live"},{"instId":"BTC-USDT","state":"suspend"}]}'


def test_instruments_of_every_kind_are_requested_in_turn() -> None:
    """Three requests of one bucket: the process's budget allows 8 a second."""
    with answering(200, {}, ONE) as base:
        start = time.monotonic()
        found = catalogue(OKX, f"{base}/")
        assert time.monotonic() - start >= 2 / 8
    assert [each.symbol for each in found] == ["BTC-USDT"] * 3 + ["ETH-USDT"] * 3


def test_every_page_of_a_list_is_requested() -> None:
    with served(pages_of_bybit) as base:
        found = catalogue(Bybit(), base)
    assert [each.symbol for each in found] == sorted(
        ["C0-USDT", "C1-USDT", *(f"C{number}-USDT-PERP" for number in range(6))]
    )


def test_catalogue_waits_after_too_many_requests() -> None:
    with answering(429, {"Retry-After": "1"}, b"{}") as base:
        with pytest.raises(RequestFailedError, match=r"the instruments of okx cannot be listed: GET .*429"):
            catalogue(OKX, base)
        start = time.monotonic()
        with pytest.raises(RequestFailedError):
            catalogue(OKX, base)
        assert time.monotonic() - start >= 0.9


def test_an_unreadable_answer_is_an_error_with_the_exchange() -> None:
    with answering(200, {}, b"<html>") as base, pytest.raises(RequestFailedError, match=r"okx cannot be listed: OKX's"):
        catalogue(OKX, base)
