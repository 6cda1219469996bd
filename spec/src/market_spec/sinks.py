"""The fields of spec.sinks."""

from collections.abc import Iterator
from typing import Annotated

from market_spec.fields import SYSTEM_DIRECTORIES, Amount, Directory, DnsLabel, DnsName, is_below
from market_spec.kinds import Duration, OneOf, Text
from market_spec.messages import shown
from market_spec.section import Rule, Section, Violation


class Rotate(Section, frozen=True):
    """Limits of one file; the first that is reached opens the next file."""

    size: Annotated[
        str,
        Text(
            "a size", "a number with Ki, Mi or Gi, such as 256Mi", pattern="^[1-9][0-9]{0,8}(Ki|Mi|Gi)$", max_length=12
        ),
        "Open a new file after this many bytes (before compression), with Ki, Mi or Gi. Default 256Mi.",
    ] = "256Mi"
    interval: Annotated[
        str, Duration("1s", "24h"), "Open a new file after this time, a duration from 1s to 24h. Default 1h."
    ] = "1h"


def _size_of_a_claim(sink: "FileSink") -> Iterator[Violation]:
    if sink.claim_name is not None and sink.size_limit is not None:
        yield Violation(("sizeLimit",), f"claimName is {sink.claim_name}")


def _system_directory(sink: "FileSink") -> Iterator[Violation]:
    if any(is_below(sink.directory, taken) for taken in SYSTEM_DIRECTORIES):
        yield Violation(("directory",), shown(sink.directory))


class FileSink(Section, frozen=True, kw_only=True):
    """Records as JSON lines in files."""

    rules = (
        Rule(
            f"!{[*SYSTEM_DIRECTORIES]}.exists(taken, self.directory == taken || "
            f"self.directory.startsWith(taken + '/'))",
            "directory must not be or be below a directory of the system; use one such as /data",
            _system_directory,
            "directory",
        ),
        Rule(
            "!has(self.sizeLimit) || !has(self.claimName)",
            "sizeLimit is only for a sink without claimName",
            _size_of_a_claim,
            "sizeLimit",
        ),
    )
    directory: Annotated[
        Directory,
        "Absolute path of the directory to write to, such as /data. In a pod it is an emptyDir, deleted with the pod, "
        "unless claimName is set. Required.",
    ]
    claim_name: Annotated[
        DnsName | None,
        "PersistentVolumeClaim in the same namespace that keeps the files; each shard writes below shard-N in it. "
        "Default: none (emptyDir). With a claim, a new pod starts only after the old one has stopped. The gap between "
        "them is backfilled.",
    ] = None
    size_limit: Annotated[
        Amount | None,
        "Size of the emptyDir, such as 10Gi, above which the pod is evicted. Default none.",
    ] = None
    rotate: Annotated[Rotate, "When a file is closed and the next one is opened. Default: at 256Mi or 1h."] = Rotate()
    compression: Annotated[
        str,
        OneOf(("none", "gzip", "zstd")),
        "Compression of the files. Default none. zstd is the smallest and fastest; every tool reads gzip.",
    ] = "none"
    fsync_interval: Annotated[
        str,
        Duration("0s", "1m"),
        "Longest time until written records are on disk, a duration from 0s (every record) to 1m. Default 1s. "
        "Records are acknowledged once they are on disk.",
    ] = "1s"


def _file_without_type(sink: "Sink") -> Iterator[Violation]:
    if (sink.file is not None) != (sink.type == "file"):
        yield Violation(("file",), f"type is {sink.type}")


class Sink(Section, frozen=True, kw_only=True):
    """A destination of records: a name, a type, and one block named like the type."""

    rules = (
        Rule(
            "has(self.file) == (self.type == 'file')",
            "file is required for, and only for, a sink of type file",
            _file_without_type,
        ),
    )
    name: Annotated[
        DnsLabel,
        "Name of the sink, unique in the resource; status and metrics show it. "
        "Lower-case letters, digits and hyphens. Required.",
    ]
    type: Annotated[
        str,
        OneOf(("stdout", "file")),
        "Type of the sink. stdout writes JSON lines to the pod's log. file writes JSON lines to files and needs the "
        "block file. Required.",
    ]
    file: Annotated[FileSink | None, "Settings of a sink of type file; Default none."] = None
