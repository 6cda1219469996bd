"""Finds recorded files, orders them, and reads their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import msgspec

from market_collector.errors import UNREADABLE
from market_collector.model.events import AnyRecord
from market_collector.sinks.names import COMPRESSED, PLAIN, FileName, compressed_path, parts_of
from market_collector.sinks.reader import DamagedError, stored_lines
from market_collector.verify.replica import RecordError, ReplicaCheck
from market_collector.verify.report import Trouble
from market_spec.messages import counted

ENDINGS = (PLAIN, *(PLAIN + ending for ending in COMPRESSED.values()))
TROUBLES_KEPT = 20
"""Unreadable lines of one file that are listed."""
RESTORE = "Restore the file from a copy, or verify without it"
NAME_A_RECORDING = "Name files or folders that a file sink wrote"
FOREIGN = f"is no recording of the file sink: no line is a record. {NAME_A_RECORDING}"
START_OF_RECORD = b'{"type":"'
"""First bytes of every record."""
KINDS = {kind.__struct_config__.tag for kind in get_args(AnyRecord)}
BAD_LINE = (*UNREADABLE, RecordError)


@dataclass(frozen=True, slots=True)
class Recording:
    """The files of one replica in the order of writing, grouped by run of its process."""

    replica: str
    runs: tuple[tuple[Path, ...], ...]


def recordings(paths: Sequence[str]) -> tuple[list[Recording], list[Trouble]]:
    """The recordings in `paths`: files, or folders with all files that a file sink wrote below them."""
    troubles: list[Trouble] = []
    given = {file.resolve(): file for path in paths for file in _below(Path(path), troubles)}
    files = _without_copies(set(given.values()))
    has_several_directories = len({file.parent for file in files}) > 1
    named: dict[str, list[tuple[FileName, Path]]] = {}
    for file in files:
        if (name := parts_of(file.name)) is not None:
            replica = f"{name.resource}/{name.shard}/{name.host}"
            named.setdefault(f"{replica} in {file.parent}" if has_several_directories else replica, []).append(
                (name, file)
            )
    found = [Recording(replica, _runs(members)) for replica, members in named.items()]
    others = [Recording(str(file), ((file,),)) for file in files if parts_of(file.name) is None]
    return found + others, troubles


def _below(path: Path, troubles: list[Trouble]) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            troubles.append(Trouble(str(path), None, "no such file or folder. Check the name"))
        return [path] if path.exists() else []
    found = [file for file in path.rglob("*") if file.name.endswith(ENDINGS) and file.is_file()]
    if not found:
        reason = f"holds no file that ends in {', '.join(ENDINGS)}. {NAME_A_RECORDING}"
        troubles.append(Trouble(str(path), None, reason))
    return found


def _without_copies(files: Set[Path]) -> list[Path]:
    """Sorted. A crash may leave a file both plain and compressed; the compressed one is whole (sinks/recovery.py)."""
    return sorted(file for file in files if not any(packed in files for packed in _compressed(file)))


def _compressed(file: Path) -> list[Path]:
    return [compressed_path(file, compression) for compression in COMPRESSED]


def _runs(members: Sequence[tuple[FileName, Path]]) -> tuple[tuple[Path, ...], ...]:
    """Splits files where the counter restarts: each process counts from the beginning."""
    runs: list[list[Path]] = []
    previous = 0
    for name, file in sorted(members, key=lambda member: (member[0].start, member[0].counter)):
        if not runs or name.counter <= previous:
            runs.append([])
        runs[-1].append(file)
        previous = name.counter
    return tuple(map(tuple, runs))


class Reader:
    """Feeds files to checks, and collects errors."""

    def __init__(self) -> None:
        self.files = 0
        self.troubles: list[Trouble] = []
        self.notes: list[str] = []
        self._decode = msgspec.json.Decoder(AnyRecord).decode

    def read(self, recording: Recording) -> ReplicaCheck:
        """Checks one replica's files."""
        check = ReplicaCheck(recording.replica)
        for run in recording.runs:
            check.start_run()
            for file in run:
                self._read_file(_Place(file), check)
        check.finish()
        return check

    def _read_file(self, place: _Place, check: ReplicaCheck) -> None:
        self.files += 1
        named_before = len(self.troubles)
        try:
            self._read_lines(stored_lines(_present(place.file)), place, check)
        except (OSError, DamagedError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._trouble(place, place.line + 1, f"unreadable from here on: {reason}. {RESTORE}")
        if place.line == 0 and len(self.troubles) == named_before:
            self.notes.append(f"{place.file}: is empty")
        if place.is_foreign:
            del self.troubles[named_before:]
            self._trouble(place, None, FOREIGN)
        elif place.unnamed:
            self._trouble(place, None, f"{counted(place.unnamed, 'more line')} unreadable")
        for kind, count in place.unknown.items():
            self.notes.append(f"{place.file}: {counted(count, 'record')} of unknown type {kind!r} not checked")

    def _read_lines(self, lines: Iterable[bytes], place: _Place, check: ReplicaCheck) -> None:
        decode, take = self._decode, check.take
        for line in lines:
            place.line += 1
            try:
                take(decode(line))
            except BAD_LINE as error:
                self._cannot_read(line, place, error)

    def _cannot_read(self, line: bytes, place: _Place, error: Exception) -> None:
        if not line.endswith(b"\n") and not place.is_compressed and _may_be_torn(line, place):
            self.notes.append(
                f"{place.file}:{place.line}: torn last line ({len(line)} bytes). The file is still being written, or "
                "the collector was killed"
            )
        elif (kind := _unknown_kind(line)) is not None:
            place.unknown[kind] += 1
        elif place.named < TROUBLES_KEPT:
            place.named += 1
            self._trouble(place, place.line, f"{error}. {RESTORE}")
        else:
            place.unnamed += 1

    def _trouble(self, place: _Place, line: int | None, reason: str) -> None:
        self.troubles.append(Trouble(str(place.file), line, reason))


@dataclass(slots=True)
class _Place:
    """The reader's position in a file, and counts of its unreadable and unknown records."""

    file: Path
    line: int = 0
    named: int = 0
    """Number of unreadable lines that were listed."""
    unnamed: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    """Number of records by type, for types that this version does not know."""

    @property
    def is_foreign(self) -> bool:
        """Whether no line is a record."""
        return 0 < self.line == self.unreadable

    @property
    def unreadable(self) -> int:
        """Number of lines that are no record."""
        return self.named + self.unnamed

    @property
    def is_compressed(self) -> bool:
        return self.file.name.endswith(tuple(COMPRESSED.values()))


class _Kind(msgspec.Struct):
    """Fields of every record, whatever its type."""

    type: str
    exchange: str
    receive_time_ns: int


def _may_be_torn(line: bytes, place: _Place) -> bool:
    """Whether the last line may be the beginning of a record, rather than content of another program."""
    if place.unreadable < place.line - 1:
        return True
    start = line[: len(START_OF_RECORD)]
    return START_OF_RECORD.startswith(start) and not _is_json(line)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except UNREADABLE:
        return False
    return True


def _unknown_kind(line: bytes) -> str | None:
    """The type of a record of a newer version; None if the line has another error."""
    try:
        kind = msgspec.json.decode(line, type=_Kind).type
    except UNREADABLE:
        return None
    return None if kind in KINDS else kind


def _present(file: Path) -> Path:
    """The file's current path: it may have been compressed since it was listed."""
    return file if file.exists() else next((packed for packed in _compressed(file) if packed.exists()), file)
