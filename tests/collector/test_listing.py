"""The command ``exchanges``: the list of exchanges, and the catalogue of one."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from market_collector import listing
from market_collector.__main__ import main
from market_collector.book.rule import BookRule, Proof
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.model.events import Instrument
from market_collector.model.streams import DataType

ROWS = [
    {"instId": "BTC-USDT", "state": "live", "tickSz": "0.1", "lotSz": "0.00000001"},
    {"instId": "BTC-USD-SWAP", "state": "preopen", "tickSz": "0.10", "lotSz": "1", "settleCcy": "BTC", "ctVal": "100",
     "ctValCcy": "USD"},
]  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The requests for a catalogue; the answer is ROWS."""
    calls: list[tuple[Any, ...]] = []

    def catalogue(*arguments: Any) -> Sequence[Instrument]:
        calls.append(arguments)
        return OkxRestApi().read_instruments(None, json.dumps({"code": "0", "data": ROWS}).encode(), 7)

    monkeypatch.setattr(listing, "catalogue", catalogue)
    return calls


def test_list_of_exchanges_has_what_each_offers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchanges"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "EXCHANGE"
    okx = [line.split(maxsplit=4)[1:] for line in lines if line.startswith("okx ")]
    assert [line[0] for line in okx] == [each for each in DataType if each in Okx.offers]
    assert ["trade", "spot,perpetual,future", "ids"] in okx
    assert ["orderbook", "spot,perpetual,future", "sequences", "400"] in okx
    assert ["funding", "perpetual", "connection"] in okx
    assert ["balance", "whole", "accounts"] in okx


def test_list_of_exchanges_as_json_keeps_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchanges", "-o", "json"]) == 0
    okx = next(row for row in json.loads(capsys.readouterr().out) if row["exchange"] == "okx")
    assert {"balance", "candle", "orderbook", "quote", "ticker", "trade", "funding"} < {*okx["dataTypes"]}
    assert (okx["orderbookDepths"], okx["candleIntervals"][0]) == ([400], "1s")
    assert (okx["websocket"], okx["rest"]) == (Okx.hosts["websocket"], Okx.hosts["rest"])
    assert (okx["proofs"]["ticker"], okx["proofs"]["markprice"]) == ("connection", "connection")
    assert okx["proofs"]["liquidation"] == "nothing (a part of all)"


def test_catalogue_is_a_table(asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchanges", "okx", "--endpoint-rest", "http://h"]) == 0
    assert [each[1:] for each in asked] == [("http://h",)]
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["BTC-USDT", "BTC-USDT", "spot", "0.1", "0.00000001", "base", "trading"],
        ["BTC-USD-PERP-BTC", "BTC-USD-SWAP", "perpetual", "BTC", "0.10", "1", "contract", "100", "pre_launch"],
    ]


@pytest.mark.usefixtures("asked")
def test_catalogue_as_json_has_decimals_and_contracts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchanges", "okx", "-o", "json"]) == 0
    spot, swap = json.loads(capsys.readouterr().out)
    assert (spot["priceDecimals"], spot["amountDecimals"], spot["contractSize"]) == (1, 8, None)
    assert (swap["priceDecimals"], swap["amountDecimals"], swap["base"], swap["quote"]) == (1, 0, "BTC", "USD")
    assert (swap["settlement"], swap["contractSize"], swap["contractUnit"]) == ("BTC", "100", "quote")


def test_unknown_exchange_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchanges", "okex"]) == 2
    assert 'exchanges: "okex" is not allowed: must be ' in capsys.readouterr().err


def test_endpoint_must_be_a_base_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchanges", "okx", "--endpoint-rest", "okx.com"]) == 2
    assert "--endpoint-rest: 'okx.com' is not a base address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("proof", "word"),
    [(Proof.RANGE, "sequences"), (Proof.CHECKSUM, "checksums"), (Proof.CONNECTION, "message numbers")],
)
def test_books_and_quotes_have_the_same_proof(proof: Proof, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Okx, "books", BookRule(proof))
    assert {listing.proof_of(Okx(), each) for each in (DataType.ORDERBOOK, DataType.QUOTE)} == {word}


def test_trades_without_dense_ids_are_proved_by_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Okx, "has_dense_trade_ids", False)
    assert listing.proof_of(Okx(), DataType.TRADE) == "overlaps"


@pytest.mark.parametrize(("increment", "digits"), [("0.10", 1), ("1", 0), ("100", 0), ("0.00001", 5), (None, None)])
def test_decimals_are_those_of_the_increment(increment: str | None, digits: int | None) -> None:
    assert listing.decimals_of(increment) == digits
