"""A soak of seconds with every part of the run and its checks."""

from pathlib import Path

import pytest
from bench import soak

from exchange_words import BINANCE, BYBIT, OKX

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("exchange", "states"), [(OKX.name, 500), (BINANCE.name, 50), ("binance-perpetual", 50), (BYBIT.name, 30)]
)
def test_short_soak_records_all_events(
    exchange: str, states: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MINUTES": 0.35, "RATE": 500, "FAULT_EVERY_S": 4.8, "SEED": 4}.items():
        monkeypatch.setattr(soak, name, value)
    written = soak.soak(tmp_path, exchange)
    assert written["faults"] == 4
    assert written["records"] > written["trades"] > 1_000
    assert written["book_states_checked"] > states, "at the pace of the exchange"
    assert (written["dropped_records"], written["trades_lost"]) == (0, 0)
    assert written["rss_peak_mb"] >= written["rss_end_mb"] > 10
    assert written["verify"] in ("complete", "holes")
    assert len(soak.rows(written)) == len(written) + 1


def test_gap_that_the_next_file_repeats_counts_once(tmp_path: Path) -> None:
    lines = ['{"type":"gap","gap_id":"a"}\n', '{"type":"gap","gap_id":"a"}\n{"type":"repaired","gap_id":"a"}\n']
    for number, text in enumerate(lines):
        (tmp_path / f"{number}.jsonl").write_text(text)
    assert [record["type"] for record in soak.Recording(tmp_path)] == ["gap", "repaired"]
