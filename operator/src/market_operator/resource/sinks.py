"""The fields of spec.sinks."""

from typing import Annotated, Literal

from pydantic import Field

from market_operator.resource.durations import Between
from market_operator.resource.fields import DIRECTORY_PATTERN, SYSTEM_DIRECTORIES, DnsLabel, DnsName, is_below
from market_operator.resource.schema import Rule, Section


class Rotate(Section):
    """When a file is finished and the next one is begun: at whichever comes first."""

    size: str = Field(
        default="256Mi",
        max_length=12,
        pattern="^[1-9][0-9]{0,8}(Ki|Mi|Gi)$",
        description="Begin a new file after this many bytes (before compression), with Ki, Mi or Gi. Default 256Mi.",
    )
    interval: Annotated[str, Between("1s", "24h")] = Field(
        default="1h", description="Begin a new file after this time, a duration from 1s to 24h. Default 1h."
    )


def _is_data_directory(sink: "FileSink") -> bool:
    return not any(is_below(sink.directory, taken) for taken in SYSTEM_DIRECTORIES)


class FileSink(Section):
    """Records as JSON lines in files."""

    rules = (
        Rule(
            f"!{[*SYSTEM_DIRECTORIES]}.exists(taken, self.directory == taken || "
            f"self.directory.startsWith(taken + '/'))",
            "directory must not be or be below a directory of the system; use one such as /data",
            _is_data_directory,
            "directory",
        ),
    )
    directory: str = Field(
        max_length=255,
        pattern=DIRECTORY_PATTERN,
        description="Absolute path of the directory to write to, such as /data. In a pod it is an "
        "emptyDir, gone with the pod, unless claimName is set. Required.",
    )
    claim_name: DnsName | None = Field(
        default=None,
        description="PersistentVolumeClaim of the same namespace to keep the files in; each shard writes "
        "below shard-N in it. "
        "Default: none (emptyDir). With a claim, a changed pod replaces the old one only "
        "after it has stopped, and the hole is repaired.",
    )
    rotate: Rotate = Field(
        default=Rotate(), description="When a file is finished and the next one is begun. Default: at 256Mi or 1h."
    )
    compression: Literal["none", "gzip", "zstd"] = Field(
        default="none",
        description="Compression of the files. Default none. zstd is the smallest and fastest; gzip is "
        "read by everything.",
    )
    fsync_interval: Annotated[str, Between("0s", "1m")] = Field(
        default="1s",
        description="Time after which written records are on disk at the latest, a duration from 0s "
        "(every record) to 1m. Default 1s. "
        "Records are acknowledged after this.",
    )


class Sink(Section):
    """Where records go: a name, a type, and one block named like the type."""

    rules = (
        Rule(
            "has(self.file) == (self.type == 'file')",
            "file is required for, and only for, a sink of type file",
            lambda self: (self.file is not None) == (self.type == "file"),
        ),
    )
    name: DnsLabel = Field(
        description="Name of the sink, unique in the resource; it stands in status and metrics. "
        "Lower-case letters, digits and hyphens. Required."
    )
    type: Literal["stdout", "file"] = Field(
        description="What the sink is. stdout: JSON lines in the pod's log; file: JSON lines in files "
        "(with the block file). Required."
    )
    file: FileSink | None = Field(
        default=None, description="Settings of a sink of type file, and only of such a one. Default none."
    )
