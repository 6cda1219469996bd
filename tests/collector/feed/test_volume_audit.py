"""Minutes of trades without dense ids are compared with their candles while they are collected."""

from typing import Any

from feed_life import CANDLES, TRADES, at
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import Interruption
from market_collector.feed.volume_audit import VolumeAudit
from market_collector.model.events import Candle, Gap, Lost, Record, Repaired, Trade
from market_collector.model.reasons import GapReason
from market_collector.telemetry.metrics import load, render
from market_collector.telemetry.status import Status

START_NS = 29_000_000 * 60 * 10**9
LATER = 600


class Run:
    """Audited trades and candles of one minute each."""

    def __init__(self) -> None:
        self.ledger = Ledger("okx", [TRADES, CANDLES], 60.0, at(0), has_dense_trade_ids=False)
        self.progress = self.ledger.trades.streams[TRADES]
        self.audit = VolumeAudit(self.ledger)
        self.progress.newest_ns = ns(LATER)

    def sees(self, *records: Record) -> tuple[int, int]:
        """Take records; returns the minutes that agree and differ so far."""
        self.audit.take(records)
        return self.progress.agreeing_minutes, self.progress.differing_minutes


def ns(seconds: float) -> int:
    return START_NS + int(seconds * 1e9)


def trade(seconds: float, amount: str, kind: str | None = None) -> Trade:
    return Trade("okx", "BTC-USDT", ns(seconds), 1, "x", "x", 1, "buy", "1", amount, None, False, kind)


def candle(minute: int, volume: str, **fields: Any) -> Candle:
    known: dict[str, Any] = {"closed": True, "interval": "1m"} | fields
    return Candle("okx", "BTC-USDT", 1, 1, open_time_ns=ns(60 * minute), open="1", high="1", low="1", close="1",
                  volume=volume, quote_volume=None, trades=None, **known)  # fmt: skip


def gap(kind: type[Any], from_s: float, to_s: float | None) -> Any:
    bounds = {"from_time_ns": ns(from_s), "to_time_ns": None if to_s is None else ns(to_s)}
    head = {"stream": str(TRADES), "reason": "Disconnected", "data_type": "trade", "gap_id": "g"}
    return kind("okx", "BTC-USDT", None, 1, **head, **bounds)


BEFORE = trade(-5, "9")


def test_minute_is_judged_when_the_next_one_closes() -> None:
    run = Run()
    assert run.sees(BEFORE, trade(1, "0.1"), trade(59.9, "0.2"), trade(60, "5"), candle(0, "0.30")) == (0, 0)
    assert run.sees(candle(1, "5")) == (1, 0)
    assert run.sees(candle(2, "0")) == (2, 0)


def test_minute_with_another_volume_differs() -> None:
    run = Run()
    assert run.sees(BEFORE, trade(1, "0.1"), candle(0, "0.3"), candle(1, "0")) == (0, 1)


def test_late_trade_counts() -> None:
    run = Run()
    assert run.sees(BEFORE, trade(1, "0.1"), candle(0, "0.3"), trade(2, "0.2"), candle(1, "0")) == (1, 0)


def test_block_trades_may_be_left_out_of_a_candle() -> None:
    for volume in ("1", "8"):
        run = Run()
        assert run.sees(BEFORE, trade(1, "1"), trade(2, "7", "block"), candle(0, volume), candle(1, "0")) == (1, 0)


def test_minute_of_the_first_trade_is_left_out() -> None:
    run = Run()
    assert run.sees(trade(1, "0.1"), candle(0, "7"), candle(1, "0"), candle(2, "0")) == (1, 0)


def test_minutes_with_a_gap_are_left_out_unless_it_is_filled() -> None:
    for end, found in (((), (0, 0)), ((gap(Lost, 10, 20),), (0, 0)), ((gap(Repaired, 10, 20),), (0, 1))):
        run = Run()
        assert run.sees(BEFORE, trade(1, "1"), gap(Gap, 10, None), *end, candle(0, "3"), candle(1, "0")) == found


def test_minute_after_a_lost_gap_counts() -> None:
    run = Run()
    run.sees(BEFORE, gap(Gap, 10, None), gap(Lost, 10, 20), candle(0, "3"))
    assert run.sees(candle(1, "0"), candle(2, "0")) == (1, 0)


def test_minute_of_an_interruption_that_is_not_proved_is_left_out() -> None:
    for last_s in (-1, 30):
        run = Run()
        run.progress.interruption = Interruption(GapReason.DISCONNECTED, {"x": None}, ns(last_s), 0.0)
        assert run.sees(BEFORE, candle(0, "3"), candle(1, "0")) == (0, 0)


def test_minute_whose_trades_are_all_missing_differs() -> None:
    run = Run()
    run.progress.newest_ns = ns(-5)
    assert run.sees(BEFORE, candle(0, "3"), candle(1, "0")) == (0, 1)


def test_other_candles_are_not_compared() -> None:
    run = Run()
    others = candle(0, "3", closed=False), candle(0, "3", backfilled=True), candle(0, "3", interval="5m")
    assert run.sees(BEFORE, *others, candle(5, "0")) == (0, 0)


def test_sums_of_judged_minutes_are_forgotten() -> None:
    run = Run()
    for minute in range(50):
        run.sees(trade(60 * minute + 1, "1"), candle(minute, "1"))
    (audited,) = run.audit._by_symbol.values()
    assert len(audited.usual) <= 2


def test_metrics_have_the_minutes_of_audited_streams() -> None:
    run = Run()
    run.sees(BEFORE, trade(1, "1"), candle(0, "1"), candle(1, "4"), candle(2, "0"))
    load()
    status = Status(name="a", namespace="b", shard=0, version="1", epoch="e", started_at="x", time="2026-11-30T00:00:00.000Z",
                    health="Healthy")  # type: ignore[arg-type]  # fmt: skip
    page = b"".join(render(status, "okx", run.ledger.streams.values())).decode()
    assert 'market_collector_agreeing_minutes_total{stream="BTC-USDT/trade"} 1' in page
    assert 'market_collector_differing_minutes_total{stream="BTC-USDT/trade"} 1' in page
