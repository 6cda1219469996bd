"""Types of single fields that several sections of the resource share."""

from typing import Annotated, Any

from pydantic import Field

from market_operator.resource.schema import Kube, Words

Int32 = Annotated[int, Words(format="int32")]
DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
DnsName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]
Unchecked = Annotated[dict[str, Any], Kube(preserve_unknown_fields=True)]
QUANTITY_PATTERN = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE]([+-])?[0-9]+)?$"
Quantity = Annotated[
    str | int,
    Words(anyOf=[{"type": "integer"}, {"type": "string"}], pattern=QUANTITY_PATTERN, maxLength=32),
    Kube(int_or_string=True),
]
DIRECTORY_PATTERN = "^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"
"""An absolute path other than /, without `..`."""
SYSTEM_DIRECTORIES = (
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/opt/venv",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/market-collector",
)
"""Where the image, the node and the operator have their own files: no sink writes and nothing is mounted there."""


def is_below(directory: str, other: str) -> bool:
    """Whether `directory` is `other`, or lies in it."""
    return directory == other or directory.startswith(f"{other}/")
