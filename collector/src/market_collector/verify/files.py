"""Feeds the records of recorded files to checks, and collects errors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from market_collector.reading.files import NAME_A_RECORDING, Recording
from market_collector.reading.stored_file import LaterSchemaError, StoredFile, damage, decoder
from market_collector.reading.trouble import LONGEST_ERROR, Trouble
from market_collector.sinks.reader import DamagedError
from market_collector.verify.replica import RecordError, ReplicaCheck
from market_spec.messages import counted

TROUBLES_KEPT = 20
"""Unreadable lines of one file that are listed."""
RESTORE = "Restore the file from a copy, or verify without it"
FOREIGN = f"is no recording of the file sink: no line is a record. {NAME_A_RECORDING}"


class Reader:
    """Feeds files to checks, and collects errors."""

    def __init__(self, *, audits_volumes: bool = False) -> None:
        self._audits_volumes = audits_volumes
        self.files = 0
        self.troubles: list[Trouble] = []
        self.notes: list[str] = []
        self._decode = decoder()
        self._unlisted: Counter[StoredFile] = Counter()
        """Number of unreadable lines above `TROUBLES_KEPT`, by file."""

    def read(self, recording: Recording) -> ReplicaCheck:
        """Checks one replica's files."""
        check = ReplicaCheck(recording.replica, audits_volumes=self._audits_volumes)
        for run in recording.runs:
            check.start_run()
            for path in run:
                self._read_file(path, check)
        check.finish()
        return check

    def _read_file(self, path: Path, check: ReplicaCheck) -> None:
        self.files += 1
        listed_before = len(self.troubles)
        file = StoredFile(path, self._decode, self._reject)
        try:
            _check_records(file, check)
        except LaterSchemaError as error:
            self._trouble(file, file.line, str(error))
        except (OSError, DamagedError) as error:
            self._trouble(file, file.line + 1, f"{damage(error)}. {RESTORE}")
        if file.line == 0 and len(self.troubles) == listed_before:
            self.notes.append(f"{path}: is empty")
        if file.is_foreign:
            del self.troubles[listed_before:]
            self._trouble(file, None, FOREIGN)
        elif self._unlisted[file]:
            self._trouble(file, None, f"{counted(self._unlisted[file], 'more line')} unreadable")
        self._note(file)

    def _note(self, file: StoredFile) -> None:
        if file.torn_bytes:
            self.notes.append(
                f"{file.path}:{file.line}: torn last line ({file.torn_bytes} bytes). The file is still being written, "
                "or the collector was killed"
            )
        for kind, count in file.unknown.items():
            self.notes.append(f"{file.path}: {counted(count, 'record')} of unknown type {kind!r} not checked")
        for word, count in file.unknown_words.items():
            records = f"{counted(count, f'{word.kind} record')} with unknown {word.field} {word.word!r}"
            self.notes.append(f"{file.path}: {records} {'read as null' if word.is_nullable else 'not checked'}")

    def _reject(self, file: StoredFile, error: Exception) -> None:
        if file.unreadable <= TROUBLES_KEPT:
            self._trouble(file, file.line, f"{error!s:.{LONGEST_ERROR}}. {RESTORE}")
        else:
            self._unlisted[file] += 1

    def _trouble(self, file: StoredFile, line: int | None, reason: str) -> None:
        self.troubles.append(Trouble(str(file.path), line, reason))


def _check_records(file: StoredFile, check: ReplicaCheck) -> None:
    take = check.take
    for record in file.records():
        try:
            take(record)
        except RecordError as error:
            file.reject(error)
