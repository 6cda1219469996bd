"""Finds recorded files, orders them, and groups them by replica."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from market_collector.reading.trouble import Trouble
from market_collector.sinks.names import COMPRESSED, PLAIN, FileName, compressed_path, parts_of

ENDINGS = (PLAIN, *(PLAIN + ending for ending in COMPRESSED.values()))
NAME_A_RECORDING = "Name files or folders that a file sink wrote"


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


def present(file: Path) -> Path:
    """The file's current path: it may have been compressed since it was listed."""
    return file if file.exists() else next((packed for packed in _compressed(file) if packed.exists()), file)
