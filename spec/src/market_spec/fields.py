"""Types of single fields that several sections share."""

from typing import Annotated, Any

from market_spec.kinds import Kind, Number, Quantity, Text, Unchecked

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DnsLabel = Annotated[
    str,
    Text(
        "a name",
        "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
        pattern=f"^{_LABEL}$",
        min_length=1,
        max_length=63,
    ),
]
DnsName = Annotated[
    str,
    Text(
        "a name",
        "1 to 253 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends",
        pattern=rf"^{_LABEL}(\.{_LABEL})*$",
        min_length=1,
        max_length=253,
    ),
]
Unstructured = Annotated[dict[str, Any], Unchecked()]
Amount = Annotated[str | int, Quantity()]
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
"""Where the image, the node and the operator keep their own files: no sink writes and no volume is mounted there."""
Directory = Annotated[
    str,
    Text(
        "a directory",
        "an absolute path such as /data, of at most 255 letters, digits, -, _, . and /; no part is empty or "
        "starts with a dot",
        pattern=DIRECTORY_PATTERN,
        max_length=255,
    ),
]


def up_to(length: int, *, at_least: int | None = None, pattern: str = "", form: str = "") -> Kind:
    """A string of at most `length` characters."""
    form = form or f"at most {length} characters"
    return Text("allowed", form, pattern=pattern, min_length=at_least, max_length=length)


Labels = dict[str, Annotated[str, up_to(63)]]


def integer(minimum: int, maximum: int | None = None, advice: str = "") -> Kind:
    """An integer between two others; `advice` says what to do instead of a smaller one."""
    return Number(minimum, maximum, advice)


def is_below(directory: str, other: str) -> bool:
    """Whether `directory` is `other`, or is inside of it."""
    return directory == other or directory.startswith(f"{other}/")


def overlap(one: str, other: str) -> bool:
    """Whether one of two directories is inside the other, or both are the same."""
    return is_below(one, other) or is_below(other, one)
