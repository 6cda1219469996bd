"""Result files have the documented fields, and tables show missed goals."""

import json
from pathlib import Path

import pytest
from bench import results
from bench.results import MEASUREMENTS, Goal
from bench.rounds import Pair

FIELDS = {
    "python", "machine", "rounds", "peer",
    "handler_sequence_us", "handler_sequence_ratio", "handler_checksum_us", "handler_checksum_ratio",
    "handler_binance_us", "handler_binance_ratio", "handler_bybit_us", "handler_bybit_ratio",
    "end_to_end_tls_us", "end_to_end_tls_ratio", "rss_mb", "rss_ratio", "cpu_150_percent", "cpu_150_ratio", "start_ms",
}  # fmt: skip
"""docs/contracts.md, benchmark results."""
NUMBERS = FIELDS - {"python", "machine", "rounds", "peer"}
PEER = {"name": "cryptofeed", "version": "2.4.1"}


def document(ours: float = 10.0, peer: float = 40.0) -> results.Document:
    pairs = [Pair(ours, peer)] * 3
    return results.collector_document({each.name: pairs for each in MEASUREMENTS}, PEER, {"load_before": 0.1})


def test_the_collector_document_has_every_field_of_the_interface() -> None:
    found = document()
    assert found.keys() >= FIELDS
    assert found["peer"] == PEER
    assert found["rounds"] == 3
    assert all(found[field].keys() == {"median", "min", "max"} for field in NUMBERS)
    json.dumps(found)


def test_ratio_is_peer_to_ours_for_times_and_inverse_for_memory_and_cpu() -> None:
    found = document(ours=10.0, peer=40.0)
    for name in ("handler_sequence", "handler_checksum", "end_to_end_tls"):
        assert found[f"{name}_ratio"]["median"] == 4.0
    for name in ("rss", "cpu_150"):
        assert found[f"{name}_ratio"]["median"] == 0.25


@pytest.mark.parametrize(
    ("goal", "value", "words"),
    [
        (Goal(6.0, at_least=True), 6.0, "≥ 6: reached"),
        (Goal(6.0, at_least=True), 3.0, "≥ 6: MISSED by 50 %"),
        (Goal(35.0), 35.0, "≤ 35: reached"),
        (Goal(35.0), 70.0, "≤ 35: MISSED by 100 %"),
        (Goal(35.0), 35.1, "≤ 35: MISSED by less than 1 %"),
        (Goal(0), 0.0, "≤ 0: reached"),
        (Goal(0), 3.0, "≤ 0: MISSED by 3"),
    ],
)
def test_verdict_has_the_amount_of_a_miss(goal: Goal, value: float, words: str) -> None:
    assert goal.verdict(value) == words


def test_the_table_shows_every_measurement_and_what_it_misses() -> None:
    lines = results.collector_table(document(ours=10.0, peer=40.0)).splitlines()
    assert len(lines) == len(MEASUREMENTS) + 2
    assert "cryptofeed" in lines[0]
    sequence = next(line for line in lines if "sequence-checked" in line)
    assert "10 µs" in sequence
    assert "4.00" in sequence
    assert "≥ 6: MISSED by 33 %" in sequence


def test_the_table_shows_thousands_as_people_write_them() -> None:
    assert "1,234" in results.collector_table(document(ours=1_234.4))


def test_a_result_file_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    file = results.write("collector.json", document())
    assert json.loads(file.read_text())["peer"] == PEER
    assert [*file.parent.iterdir()] == [file]


def test_the_result_file_in_the_repository_has_the_fields_as_well() -> None:
    assert json.loads((results.RESULTS / "collector.json").read_text()).keys() >= FIELDS
