"""Records of the previous release and of this one for one market differ by the changes of schema 1 only."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from collector_program import document, program
from other_release import PREVIOUS, release_environment
from simulator_process import MARKET, simulator

pytestmark = pytest.mark.simulator
KEYS = {
    "trade": ("trade_id",),
    "orderbook": ("exchange_time_ns", "sequence"),
    "ticker": ("exchange_time_ns",),
    "candle": ("open_time_ns", "closed", "volume"),
}
"""Fields that identify a record of a type, beside the symbol. Only one record of a key exists in a market."""
NEW_FIELDS = {
    "trade": {"kind"},
    "orderbook": {"cause", "depth"},
    "ticker": {"base_volume_24h"},
    "candle": {"base_volume"},
    "connected": {"detail", "connection", "connection_id", "streams"},
    "disconnected": {"detail", "connection", "connection_id", "streams"},
}
"""Fields of schema 1, by record type."""
NEW_TYPES = {"header", "instrument", "recording"}
"""Record types of schema 1."""


def without_new_fields(record: Any) -> Any:
    new = NEW_FIELDS.get(record["type"], set())
    return {field: value for field, value in record.items() if field not in new}


def by_key(records: Iterable[Any]) -> dict[Any, Any]:
    """Records that come from the market by their identity, without the time at which the collector received them."""
    return {
        (each["type"], each["symbol"], *(each[field] for field in KEYS[each["type"]])): {
            field: value for field, value in each.items() if field != "receive_time_ns"
        }
        for each in records
        if each["type"] in KEYS and each.get("action") != "snapshot"
    }


def has_every_type(keys: Iterable[Any]) -> bool:
    """Whether there are enough records, and of each type."""
    kinds = [kind for kind, *_ in keys]
    return len(kinds) > 500 and set(kinds) == set(KEYS)


def test_records_equal_those_of_the_previous_release(tmp_path: Path) -> None:
    """Each collector starts with a snapshot of its own. After that, both receive the same messages."""
    folders = [tmp_path / name for name in ("previous", "current")]
    for folder in folders:
        folder.mkdir()
    previous = release_environment(PREVIOUS / "market_collector.zip")
    with simulator(*MARKET) as exchange:
        types = ["trade", "orderbook", "ticker", "candle"]
        spec = document(exchange, dataTypes=types, candle={"intervals": ["1s"]})
        with program(folders[0], spec, **previous) as old, program(folders[1], spec) as new:
            new.comes(lambda: has_every_type(by_key(old.records()).keys() & by_key(new.records()).keys()))
            assert [each.stop() for each in (new, old)] == [0, 0]
        before, after = by_key(old.records()), by_key(map(without_new_fields, new.records()))
    shared = before.keys() & after.keys()
    assert len(shared) > 0.5 * len(after), "the collectors did not run at the same time"
    assert [after[key] for key in shared] == [before[key] for key in shared]
    known = [record for record in new.records() if record["type"] not in NEW_TYPES]
    assert [without_new_fields(each).keys() for each in first_of_each_type(known)] == [
        each.keys() for each in first_of_each_type(old.records())
    ]


def first_of_each_type(records: list[Any]) -> list[Any]:
    """The first record of each type, in alphabetical order."""
    first: dict[str, Any] = {}
    for each in records:
        first.setdefault(each["type"], each)
    return [first[kind] for kind in sorted(first)]
