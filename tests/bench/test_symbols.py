"""A short run with few symbols, with every part of it."""

from pathlib import Path

import pytest
from bench import symbols

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


def test_short_run_measures_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SYMBOLS": 5, "SECONDS": 1.0, "UPDATES": 50.0, "SCRAPES": 1}.items():
        monkeypatch.setattr(symbols, name, value)
    written = symbols.rest(tmp_path) | symbols.busy(tmp_path)
    assert written["streams"] == 20
    assert written["metrics_kb"] > 10
    assert written["scraped_rss_peak_mb"] >= written["scraped_rss_mb"] > 10
    assert written["busy_cpu_percent"] > 0
    assert symbols.GOALS.keys() <= written.keys()
    assert len(symbols.rows(written)) == len(written) + 1
