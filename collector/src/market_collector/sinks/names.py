"""Names of a file sink's files. A name shows the origin and the state of its file.

``okx-btc_0_pod-abc_20261122T100000.000Z_000001.jsonl`` has resource, shard, host, start time (UTC) and a counter. The
first three contain no underscore, so the name can be split at underscores. An uncompressed file ends in ``.jsonl``, a
compressed one in ``.jsonl.gz`` or ``.jsonl.zst``. An incomplete compressed file has ``.part`` in addition.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from market_collector.sinks.interface import Origin

PLAIN = ".jsonl"
COMPRESSED = {"gzip": ".gz", "zstd": ".zst"}
"""Appended to the plain file's name, by ``spec.sinks[].file.compression``."""
UNFINISHED = ".part"
_NAME = re.compile(r"([^_]+)_(\d+)_([^_]+)_(\d{8}T\d{6}\.\d{3}Z)_(\d{6,})\.jsonl(?:\.gz|\.zst)?")


def shared_prefix(origin: Origin) -> str:
    """Prefix of the names of all files that this shard has written, in any pod."""
    return f"{_short(origin.name)}_{origin.shard}_"


def file_name(origin: Origin, start_ns: int, counter: int) -> str:
    """Name of a new file."""
    start = datetime.fromtimestamp(start_ns // 1_000_000_000, UTC)
    milliseconds = start_ns // 1_000_000 % 1000
    return (
        f"{shared_prefix(origin)}{_short(origin.host)}_{start:%Y%m%dT%H%M%S}.{milliseconds:03d}Z_{counter:06d}{PLAIN}"
    )


class FileName(NamedTuple):
    """Parts of a file's name. Files of one shard and host sort in the order in which they were written."""

    resource: str
    shard: int
    host: str
    start: str
    """UTC, ``20261122T100000.000Z``."""
    counter: int
    """Starts at 1 in each run of the collector."""


def parts_of(name: str) -> FileName | None:
    """Parses a name made by `file_name`, with or without a compression suffix. None for any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    resource, shard, host, start, counter = found.groups()
    return FileName(resource, int(shard), host, start, int(counter))


def compressed_path(plain: Path, compression: str) -> Path:
    """Path of a plain file's compressed form."""
    return plain.with_name(plain.name + COMPRESSED[compression])


def unfinished_path(path: Path) -> Path:
    """Path of a file until it is complete."""
    return path.with_name(path.name + UNFINISHED)


def plain_files(directory: Path, origin: Origin) -> list[Path]:
    """This shard's plain files."""
    return _our_files(directory, origin, PLAIN)


def unfinished_files(directory: Path, origin: Origin) -> list[Path]:
    """This shard's incomplete compressed files."""
    return _our_files(directory, origin, UNFINISHED)


def plain_of(unfinished: Path) -> Path:
    """The plain file of an incomplete compressed one."""
    return unfinished.with_name(re.sub(r"(\.gz|\.zst)\.part$", "", unfinished.name))


def our_files(directory: Path, origin: Origin) -> list[Path]:
    """This shard's files of records, plain and compressed."""
    return [path for end in ("", *COMPRESSED.values()) for path in _our_files(directory, origin, PLAIN + end)]


def _our_files(directory: Path, origin: Origin, ending: str) -> list[Path]:
    prefix = shared_prefix(origin)
    return sorted(path for path in directory.iterdir() if path.name.startswith(prefix) and path.name.endswith(ending))


def _short(text: str) -> str:
    """Makes a unique string of at most 80 characters that are valid in a file name, which has at most 255 bytes."""
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", text)
    if plain == text and len(text) <= 80:
        return text
    return f"{plain[:70]}-{hashlib.sha256(text.encode()).hexdigest()[:9]}"
