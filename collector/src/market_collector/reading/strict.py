"""The records of recordings for readers that stop at the first line that cannot be read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path

from market_collector.errors import InputError, RecordingError
from market_collector.model.events import AnyRecord
from market_collector.reading.files import Recording, recordings
from market_collector.reading.newer import KINDS
from market_collector.reading.plausible import IMPOSSIBLE, Check, check_values
from market_collector.reading.stored_file import HEADER, Decode, LaterSchemaError, StoredFile, damage, decoder, start_of
from market_collector.reading.trouble import LONGEST_ERROR, Trouble
from market_collector.sinks.reader import DamagedError
from market_spec.messages import not_among

AnyPath = str | os.PathLike[str]
Files = AnyPath | Iterable[AnyPath]
"""A recorded file or a folder with such files, or several of them."""
Symbols = str | Iterable[str] | None
"""A symbol or several; None for all."""
RESTORE = "Restore the file from a copy, or read the others without it"


def find_recordings(files: Files) -> list[Recording]:
    """Return the recordings in ``files``, one for each replica.

    Raises:
        RecordingError: there is no such file, or a folder has none.
    """
    paths = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    found, troubles = recordings([os.fspath(path) for path in paths])
    if troubles:
        raise RecordingError("\n".join(map(str, troubles)))
    return found


def records_of(recording: Recording, kinds: Collection[str], check: Check = check_values) -> Generator[AnyRecord]:
    """Yield the records of these types in one replica's files, in the order of writing. Each must pass a check.

    A torn last line is left out, since its file may still grow. So are records of types that this version does not
    know.

    Raises:
        RecordingError: a line or the rest of a file cannot be read. All records before were yielded.
    """
    for run in recording.runs:
        yield from records_of_run(run, kinds, check)


def records_of_run(run: Iterable[Path], kinds: Collection[str], check: Check) -> Iterator[AnyRecord]:
    """Yield the records of one process, like `records_of`."""
    decode = decoder()
    skipped = tuple(start_of(kind) for kind in KINDS if kind not in kinds and kind != HEADER)  # it has the schema
    classes = {KINDS[kind] for kind in kinds}
    for path in run:
        for record in _records(path, skipped, decode, check):
            if type(record) in classes:  # another program may have written the fields in another order
                yield record


def first_time_ns(recording: Recording) -> int:
    """Return the receive time of the first record; 0 if there is none, or if it cannot be read."""
    records = records_of(recording, KINDS.keys(), check=lambda _: None)
    with contextlib.closing(records), contextlib.suppress(RecordingError):
        return next((record.receive_time_ns for record in records), 0)
    return 0


def check_kind(name: str, argument: str) -> str:
    """Return a record type.

    Raises:
        InputError: there is no such type.
    """
    if name not in KINDS:
        raise InputError(f"{argument}: {not_among(str(name), tuple(KINDS))}")
    return str(name)


def symbols_of(symbols: Symbols) -> frozenset[str] | None:
    """Return the symbols as a set; None for all."""
    if symbols is None:
        return None
    return frozenset([symbols] if isinstance(symbols, str) else symbols)


def _records(path: Path, skipped: tuple[bytes, ...], decode: Decode, check: Check) -> Iterator[AnyRecord]:
    file = StoredFile(path, decode, _raise)
    try:
        for record in file.records(skipped):
            try:
                check(record)
            except IMPOSSIBLE as error:
                file.reject(error)
            yield record
    except LaterSchemaError as error:
        raise RecordingError(str(Trouble(str(path), file.line, str(error)))) from error
    except (OSError, DamagedError) as error:
        raise _error(file, file.line + 1, damage(error)) from error


def _raise(file: StoredFile, error: Exception) -> None:
    raise _error(file, file.line, f"{error!s:.{LONGEST_ERROR}}") from error


def _error(file: StoredFile, line: int, reason: str) -> RecordingError:
    return RecordingError(str(Trouble(str(file.path), line, f"{reason}. {RESTORE}")))
