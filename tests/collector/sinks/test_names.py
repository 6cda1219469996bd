"""Names of files: ours are known, and never collide."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from market_collector.sinks.interface import Origin
from market_collector.sinks.names import (
    compressed_path,
    file_name,
    parts_of,
    plain_files,
    plain_of,
    shared_prefix,
    unfinished_files,
    unfinished_path,
)

OKX = Origin("okx-btc", 0, "okx-btc-0-abc")
START_NS = 1_795_341_600_123_456_789


def test_file_name_has_resource_shard_host_start_and_counter() -> None:
    assert file_name(OKX, START_NS, 7) == "okx-btc_0_okx-btc-0-abc_20261122T100000.123Z_000007.jsonl"


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_any_names_make_a_file_name_that_a_file_system_takes(name: str, host: str) -> None:
    made = unfinished_path(
        compressed_path(Path("/") / file_name(Origin(name, 63, host), START_NS, 999_999), "zstd")
    ).name
    assert len(made.encode()) <= 255
    assert "/" not in made
    assert made.startswith(shared_prefix(Origin(name, 63, "another")))
    parts = parts_of(made.removesuffix(".part"))
    assert parts is not None
    assert (parts.shard, parts.start, parts.counter) == (63, "20261122T100000.123Z", 999_999)


def test_parts_of_a_name_are_parsed_with_any_compression() -> None:
    for ending in ("", ".gz", ".zst"):
        parts = parts_of(file_name(OKX, START_NS, 7) + ending)
        assert parts == ("okx-btc", 0, "okx-btc-0-abc", "20261122T100000.123Z", 7)
    for name in ("records.jsonl", file_name(OKX, START_NS, 7) + ".zst.part", file_name(OKX, START_NS, 7) + ".probe"):
        assert parts_of(name) is None


def test_long_names_that_differ_only_at_the_end_stay_apart() -> None:
    one, other = Origin("a" * 253, 0, "h"), Origin("a" * 252 + "b", 0, "h")
    assert shared_prefix(one) != shared_prefix(other)


def test_shard_1_is_not_shard_11_and_a_prefix_is_not_a_name() -> None:
    prefixes = [shared_prefix(Origin(name, shard, "h")) for name in ("okx", "okx-btc") for shard in (1, 11)]
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)


def test_only_files_of_the_shard_are_listed_by_state(tmp_path: Path) -> None:
    ours = tmp_path / file_name(OKX, START_NS, 1)
    of_another_pod = tmp_path / file_name(Origin("okx-btc", 0, "pod-2"), START_NS, 1)
    part = unfinished_path(compressed_path(ours, "gzip"))
    for path in (ours, of_another_pod, part, compressed_path(ours, "zstd"), tmp_path / "notes.jsonl"):
        path.touch()
    (tmp_path / file_name(Origin("okx-btc", 1, "pod"), START_NS, 1)).touch()
    assert plain_files(tmp_path, OKX) == [ours, of_another_pod]
    assert unfinished_files(tmp_path, OKX) == [part]
    assert plain_of(part) == ours
