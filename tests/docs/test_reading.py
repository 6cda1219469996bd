"""The recipes of docs/reading.md, run on a recording with faults."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace

from exchange_words import ALL_WORDS, BINANCE, OKX, WORDS
from market_collector.model.events import Trade
from market_collector.reading import read
from record_lines import lines
from recorded_market import record_market

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
PRICES = ("open", "high", "low", "close")


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.split("\n")[-2][:40] for program in PROGRAMS])
def test_recipe_has_at_most_ten_lines(program: str) -> None:
    assert len([line for line in program.splitlines() if line]) <= 10


@pytest.fixture(scope="module", params=ALL_WORDS)
def names(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The variables after all programs of the page, with candles of one second instead of a minute."""
    folder = tmp_path_factory.mktemp("recording")
    record_market(folder, name=request.param, records=150)
    names: dict[str, Any] = {"folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for program in PROGRAMS:
            exec(program.replace('"1m"', '"1s"'), names)
    return names


pytestmark = pytest.mark.simulator
with_seconds = pytest.mark.parametrize("names", [OKX.name, BINANCE.name], indirect=True)
"""Bybit's shortest candle has a minute."""
with_dense_ids = pytest.mark.parametrize("names", WORDS, indirect=True)
with_one_numbering = pytest.mark.parametrize("names", [OKX.name], indirect=True)
"""Of trades and books."""


@with_seconds
def test_bars_equal_the_candles(names: dict[str, Any]) -> None:
    whole = names["whole"]
    assert len(whole) >= 3
    assert all(whole[name].to_list() == whole[f"{name}_of_trades"].to_list() for name in PRICES)
    assert (whole["volume"] - whole["volume_of_trades"]).abs().max() < 1e-9


def test_amounts_of_contracts_are_converted_by_their_size(names: dict[str, Any]) -> None:
    """The recording is of a spot instrument, so the contracts are made of it."""
    trades, in_base = names["contracts"], names["in_base"]
    assert trades.select(in_base == pl.col("amount")).to_series().all()
    for unit, amount in (("base", pl.col("amount") * 100), ("quote", pl.col("amount") * 100 / pl.col("price"))):
        contracts = trades.with_columns(contract_size=pl.lit(100.0), contract_unit=pl.lit(unit))
        assert contracts.select(in_base == amount).to_series().all()


@with_one_numbering
def test_trades_trade_at_the_touch(names: dict[str, Any]) -> None:
    assert len(names["joined"]) > 100
    assert names["joined"].select(names["is_at_touch"].all()).item()
    assert names["quotes"]["bid"].null_count() > 0


def test_order_flow_is_null_across_a_gap_only(names: dict[str, Any]) -> None:
    flows = names["flows"]
    states = flows.drop("imbalance").iter_rows()
    expected = [None, *(flow(before[1:], after[1:]) for before, after in pairwise(states))]
    assert flows["imbalance"].to_list() == expected
    assert 1 < expected.count(None) < len(expected) / 10
    assert sum(each not in (None, 0.0) for each in expected) > 10


def flow(before: Sequence[Any], after: Sequence[Any]) -> float | None:
    if before[0] is None or after[0] is None:
        return None
    (bid, bids, ask, asks), (new_bid, new_bids, new_ask, new_asks) = before, after
    bought = (new_bids if new_bid >= bid else 0.0) - (bids if new_bid <= bid else 0.0)
    sold = (new_asks if new_ask <= ask else 0.0) - (asks if new_ask >= ask else 0.0)
    return bought - sold


def test_book_at_a_time_is_a_snapshot(names: dict[str, Any]) -> None:
    state, newest = names["state"], names["quotes"]["sequence"].max()
    assert (state.action, state.sequence < newest) == ("snapshot", True)


@with_dense_ids
def test_latencies_are_those_of_live_trades(names: dict[str, Any]) -> None:
    trades, latency = names["trades"], names["latency"]
    assert len(latency) == len(trades) - trades["backfilled"].sum() < len(trades)
    assert latency["milliseconds"].min() >= 0


def test_duplicates_of_replicas_are_removed(names: dict[str, Any]) -> None:
    assert names["trades"]["trade_id"].n_unique() == len(names["trades"]) >= len(names["first"])
    assert len(names["lacking"]) == len(names["trades"]) - len(names["first"])


def test_filled_gaps_divide_no_differences(names: dict[str, Any]) -> None:
    returns = names["returns"]
    assert len(returns) == len(names["trades"])
    assert (returns["start"].n_unique(), returns["log_return"].null_count()) == (1, 1)


@with_dense_ids
def test_missing_trades_divide_the_differences(
    names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read(names["folder"], "trade", symbols="BTC-USDT").records()
    trades = [replace(record, backfilled=False) for record in records if isinstance(record, Trade)]
    first = next(n for n in range(60, 90) if trades[n - 1].exchange_time_ns != trades[n + 5].exchange_time_ns)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.jsonl").write_bytes(lines([*trades[:first], *trades[first + 5 :]]))
    monkeypatch.chdir(tmp_path)
    exec(PROGRAMS[-1], names := names | {"trades": read("records", "trade").to_polars()})
    found = names["returns"].filter(pl.col("log_return").is_null())["trade_id"].to_list()
    assert found == [names["trades"]["trade_id"][0], trades[first + 5].trade_id]
