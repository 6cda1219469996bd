"""Volume audit: trades without dense ids are compared with the candles of their minutes."""

from pathlib import Path
from typing import Any

import pytest

from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import Candle, Gap, Lost, Record, Trade
from market_collector.verify.command import examine
from market_collector.verify.document import document
from market_collector.verify.report import Report
from market_collector.verify.table import text
from record_lines import lines
from records import TRADES

MINUTE_S = 60


@pytest.fixture(autouse=True)
def _exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))


def trade(name: str, seconds: float, amount: str, kind: str | None = None) -> Trade:
    time_ns = int((MINUTE_S * 1_000_000 + seconds) * 1e9)
    return Trade(NAME, "BTC-USDT", time_ns, time_ns, name, name, 1, "buy", "1", amount, None, False, kind)


def candle(minute: int, volume: str, *, closed: bool = True) -> Candle:
    open_ns = (1_000_000 + minute) * MINUTE_S * 10**9
    return Candle(NAME, "BTC-USDT", open_ns, open_ns, "1m", open_ns, "1", "1", "1", "1", volume, "1", None, closed)


def report(path: Path, *records: Record, audits: bool = True) -> Report:
    (path / "pod_0.jsonl").write_bytes(lines(records))
    return examine([str(path)], audits_volumes=audits)


def shown(found: Report) -> tuple[int | None, list[str]]:
    (trades,) = [stream for stream in found.streams if stream.stream == TRADES]
    return trades.reckoning.audited, [finding.detail for finding in trades.reckoning.findings]


EDGES = trade("first", -30, "1"), trade("last", 200, "1")
MINUTES = trade("a", 1, "0.1"), trade("b", 59.9, "0.2"), trade("c", 60, "5"), candle(0, "0.3"), candle(1, "5.00")


def test_minutes_whose_trades_sum_up_to_their_candle_agree(tmp_path: Path) -> None:
    assert shown(report(tmp_path, EDGES[0], *MINUTES, EDGES[1])) == (2, [])


def test_minute_that_lacks_a_trade_differs(tmp_path: Path) -> None:
    found = report(tmp_path, EDGES[0], *MINUTES[1:], EDGES[1])
    assert shown(found) == (1, ["the trades of the minute sum up to 0.2, its candle has 0.3"])
    assert found.verdict == "holes"


def test_minute_without_trades_agrees_with_an_empty_candle(tmp_path: Path) -> None:
    assert shown(report(tmp_path, EDGES[0], candle(0, "0"), candle(1, "0.0"), EDGES[1])) == (2, [])


def test_candle_may_leave_out_block_trades(tmp_path: Path) -> None:
    block = trade("block", 2, "100", "block")
    assert shown(report(tmp_path, EDGES[0], block, *MINUTES, EDGES[1])) == (2, [])
    whole = candle(0, "100.3")
    assert shown(report(tmp_path, EDGES[0], block, *MINUTES[:3], whole, candle(1, "5"), EDGES[1])) == (2, [])


def test_open_candles_and_other_intervals_are_left_out(tmp_path: Path) -> None:
    assert shown(report(tmp_path, EDGES[0], *MINUTES[:3], candle(0, "0.1", closed=False), EDGES[1])) == (0, [])


def test_minutes_at_the_ends_and_in_gaps_are_left_out(tmp_path: Path) -> None:
    assert shown(report(tmp_path, *MINUTES)) == (0, [])
    from_ns, to_ns = (trade("x", seconds, "1").exchange_time_ns for seconds in (5, 50))
    head: dict[str, Any] = {"stream": TRADES, "reason": "Disconnected", "data_type": "trade", "gap_id": "g"}
    gap = Gap(NAME, "BTC-USDT", None, 1, **head, from_time_ns=from_ns, to_time_ns=to_ns)
    lost = Lost(NAME, "BTC-USDT", None, 1, **head, from_time_ns=from_ns, to_time_ns=to_ns)
    assert shown(report(tmp_path, EDGES[0], gap, lost, *MINUTES[1:], EDGES[1])) == (1, [])


def test_double_counts_once(tmp_path: Path) -> None:
    assert shown(report(tmp_path, EDGES[0], MINUTES[0], *MINUTES, EDGES[1])) == (2, [])


def test_audit_is_off_by_default(tmp_path: Path) -> None:
    found = report(tmp_path, EDGES[0], *MINUTES[1:], EDGES[1], audits=False)
    assert shown(found) == (None, [])
    assert "audited_minutes" not in document(found)["streams"][1]


def test_report_has_the_number_of_minutes(tmp_path: Path) -> None:
    found = report(tmp_path, EDGES[0], *MINUTES, EDGES[1])
    assert "2 minutes with the volume of its candle" in text(found, 100, has_blocks=False)
    assert document(found)["streams"][1]["audited_minutes"] == 2
