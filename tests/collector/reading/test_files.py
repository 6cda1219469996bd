"""Real files: selection, order and replicas."""

from pathlib import Path

from market_collector.model.events import Record
from market_collector.reading.files import recordings
from record_lines import lines
from records import trade

NAME = "okx-btc_0_{host}_20261122T1000{second:02d}.000Z_{counter:06d}.jsonl"


def write(path: Path, *records: Record) -> Path:
    path.write_bytes(lines(records))
    return path


def named(folder: Path, second: int, counter: int, host: str = "pod-a") -> Path:
    path = folder / NAME.format(host=host, second=second, counter=counter)
    path.touch()
    return path


def test_files_of_a_replica_are_in_order_and_split_into_runs(tmp_path: Path) -> None:
    files = [named(tmp_path, 1, 1), named(tmp_path, 2, 2), named(tmp_path, 3, 1), named(tmp_path, 4, 2)]
    named(tmp_path, 2, 1, "pod-b")
    found, troubles = recordings([str(tmp_path)])
    assert not troubles
    assert [recording.replica for recording in found] == ["okx-btc/0/pod-a", "okx-btc/0/pod-b"]
    assert found[0].runs == (tuple(files[:2]), tuple(files[2:]))


def test_directories_are_searched_recursively_for_files_of_a_sink(tmp_path: Path) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    wanted = [write(tmp_path / "deep" / "down" / name) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst")]
    for name in ("d.jsonl.gz.part", "e.json", "f.jsonl.probe"):
        write(tmp_path / name)
    found, _ = recordings([str(tmp_path), str(wanted[0])])
    assert [recording.runs for recording in found] == [((file,),) for file in wanted]


def test_a_file_that_is_named_in_several_ways_is_read_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", trade(1))
    found, _ = recordings([str(file), str(tmp_path), str(tmp_path / ".." / tmp_path.name / "a.jsonl")])
    assert len(found) == 1


def test_the_same_names_in_two_directories_are_two_replicas(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        named(tmp_path / folder, 1, 1)
    found, _ = recordings([str(tmp_path)])
    assert [recording.replica for recording in found] == [f"okx-btc/0/pod-a in {tmp_path / folder}" for folder in "ab"]


def test_missing_file_is_named(tmp_path: Path) -> None:
    found, troubles = recordings([str(tmp_path / "nothing"), str(tmp_path)])
    assert not found
    assert [(trouble.file, trouble.line) for trouble in troubles] == [
        (str(tmp_path / "nothing"), None),
        (str(tmp_path), None),
    ]
    assert "no such file" in troubles[0].reason
    assert ".jsonl.zst" in troubles[1].reason
