"""Kinds of values. Each kind reads a plain value, and reports everything that is wrong with it.

A field carries its kind in its annotation: ``Annotated[str, Duration("1s", "1h"), "Description."]``.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from market_spec.durations import DURATION_MAX_LENGTH, DURATION_PATTERN, seconds, suggested
from market_spec.messages import Path, counted, escaped, not_among, shown, wrong_type


class Fault(NamedTuple):
    """One thing that is wrong, and where."""

    path: Path
    text: str


class Findings:
    """The faults of one document, in the order in which they are found."""

    def __init__(self, *, allow_unknown: bool = False) -> None:
        self.faults: list[Fault] = []
        self.allow_unknown = allow_unknown
        """Whether unknown fields are ignored; otherwise each is a fault."""

    def add(self, path: Path, text: str) -> None:
        """Record a fault. Its text may quote a foreign value."""
        self.faults.append(Fault(path, escaped(text)))


class Kind(msgspec.Struct, frozen=True):
    """A kind of value."""

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """The value as a section holds it. Meaningless when a fault was added."""
        raise NotImplementedError


class Text(Kind, frozen=True):
    """A string with limits. ``noun`` and ``form`` make the message: ``"x" is not NOUN: must be FORM``."""

    noun: str
    form: str
    pattern: str = ""
    min_length: int | None = None
    max_length: int | None = None

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, str) and (not _is_number(value) or self._is_within(str(value))):
            findings.add(path, _not_a_string(value))
        elif not self._is_within(str(value)):
            findings.add(path, f"{shown(value)} is not {self.noun}: must be {self.form}")
        return value

    def _is_within(self, value: str) -> bool:
        most = len(value) if self.max_length is None else self.max_length
        return (self.min_length or 0) <= len(value) <= most and has_match(self.pattern, value)


class OneOf(Kind, frozen=True):
    """A string from a closed list."""

    choices: tuple[str, ...]

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, str) and (not _is_number(value) or str(value) in self.choices):
            findings.add(path, _not_a_string(value))
        elif value not in self.choices:
            findings.add(path, not_among(value, self.choices))
        return value


class Duration(Kind, frozen=True):
    """A duration between two others, such as ``1m30s``."""

    low: str
    high: str

    @property
    def message(self) -> str:
        """The constraint, as the API server reports it too."""
        return f"out of range: must be {self.low} to {self.high}"

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, str):
            wanted = f"a duration from {self.low} to {self.high}"
            findings.add(path, wrong_type(wanted, value) + self._hint(value if _is_number(value) else ""))
        elif len(value) > DURATION_MAX_LENGTH or not has_match(DURATION_PATTERN, value):
            form = f"numbers with ms, s, m or h, such as 30s or 1m30s, from {self.low} to {self.high}"
            findings.add(path, f"{shown(value)} is not a duration: must be {form}" + self._hint(value))
        elif not seconds(self.low) <= seconds(value) <= seconds(self.high):
            nearest = self.low if seconds(value) < seconds(self.low) else self.high
            findings.add(path, f"{shown(value)} is {self.message}. Nearest: {nearest}")
        return value

    def _hint(self, value: str | float) -> str:
        text = suggested(value)
        return f". Write {text}" if text and seconds(self.low) <= seconds(text) <= seconds(self.high) else ""


class Number(Kind, frozen=True):
    """An integer of 32 bits between two others."""

    minimum: int
    maximum: int | None = None
    advice: str = ""
    """What to do instead of a smaller number."""

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, int) or isinstance(value, bool):
            findings.add(path, wrong_type("an integer", value) + _integer_hint(value))
        else:
            advice = self.advice if value < self.minimum else ""
            check_range(value, self.minimum, self.maximum, path, findings, advice)
        return value


class Constant(Kind, frozen=True):
    """Exactly one value."""

    value: str | int

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if value != self.value or isinstance(value, bool):
            findings.add(path, not_among(value, [self.value]))
        return value


class Flag(Kind, frozen=True):
    """true or false."""

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, bool):
            findings.add(path, wrong_type("true or false", value))
        return value


class Quantity(Kind, frozen=True):
    """A Kubernetes quantity such as 100m or 1Gi; an integer is allowed too."""

    pattern: str = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE]([+-])?[0-9]+)?$"
    max_length: int = 32

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            findings.add(path, wrong_type("a quantity such as 100m or 1Gi", value) + self._hint(value, path))
        elif len(str(value)) > self.max_length or not has_match(self.pattern, str(value)):
            findings.add(path, f"{shown(value)} is not a quantity: must be a number with a unit, such as 100m or 1Gi")
        return value

    def _hint(self, value: Any, path: Path) -> str:
        if not isinstance(value, float) or not has_match(self.pattern, str(value)):
            return ""
        thousandths = f"{value * 1000:.15g}"
        return f'. Write "{thousandths}m"' if path[-1:] == ("cpu",) and thousandths.isdigit() else _in_quotes(value)


class Unchecked(Kind, frozen=True):
    """A mapping that the API server checks later, as part of a pod."""

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, dict):
            findings.add(path, wrong_type("a mapping (field: value)", value))
        return value


class Entries(Kind, frozen=True):
    """A mapping from names to values of one kind."""

    maximum: int
    value: Kind = Flag()

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, dict):
            findings.add(path, wrong_type("a mapping (name: value)", value))
            return value
        if len(value) > self.maximum:
            findings.add(path, f"has {_entries(len(value))}: must have at most {self.maximum}")
        return {str(name): self.value.read(each, (*path, str(name)), findings) for name, each in value.items()}


class Items(Kind, frozen=True):
    """A list of values of one kind."""

    minimum: int
    maximum: int | None = None
    list_type: str = ""
    """``set``: no value twice. ``map``: no two items with the same key. ``atomic``: replaced as a whole."""
    key: str = ""
    """Of a map: the field that identifies an item."""
    item: Kind = Flag()

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, list | tuple):
            findings.add(path, wrong_type("a list", value) + _list_hint(value))
            return value
        self._check_length(len(value), path, findings)
        items = tuple(self.item.read(item, (*path, number), findings) for number, item in enumerate(value))
        self._check_unique(value, path, findings)
        return items

    def _check_length(self, length: int, path: Path, findings: Findings) -> None:
        if length < self.minimum or (self.maximum is not None and length > self.maximum):
            most = "" if self.maximum is None else f" to {self.maximum}"
            findings.add(path, f"has {counted(length, 'item')}: must have {self.minimum}{most or ' or more'}")

    def _check_unique(self, items: Sequence[Any], path: Path, findings: Findings) -> None:
        seen: list[Any] = []
        for number, item in enumerate(items):
            identity = item.get(self.key) if self.list_type == "map" and isinstance(item, dict) else item
            if self.list_type in ("set", "map") and identity is not None and identity in seen:
                where = (*path, number, self.key) if self.list_type == "map" else (*path, number)
                findings.add(where, f"{shown(identity)} is listed twice. List each only once")
            seen.append(identity)


def check_range(value: float, low: float, high: float | None, path: Path, findings: Findings, advice: str = "") -> None:
    """Add a fault when a number is out of range; it names the constraint and the nearest number inside."""
    if not low <= value <= (value if high is None else high):  # not a number is never in range
        allowed = f"{low:.15g} or more" if high is None else f"{low:.15g} to {high:.15g}"
        nearest = low if high is None or value < low else high
        more = f". {advice}" if advice else ""
        findings.add(path, f"{shown(value)} is out of range: must be {allowed}. Nearest: {nearest:.15g}{more}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _not_a_string(value: Any) -> str:
    return wrong_type("a string", value) + _in_quotes(value)


def _in_quotes(value: Any) -> str:
    return f'. Put it in quotes: "{value}"' if _is_number(value) else ""


def _integer_hint(value: Any) -> str:
    text = f"{value:.15g}" if isinstance(value, float) else value.strip() if isinstance(value, str) else ""
    return f". Write {text}" if re.fullmatch("-?[0-9]+", text) else ""


def _list_hint(value: Any) -> str:
    if _is_number(value):
        return f". Write [{value}]"
    items: list[Any] = []
    if isinstance(value, str):
        items = [item for item in re.split(r"[\s,]+", value.strip("[] ")) if item]
    elif isinstance(value, (set, frozenset)):
        items = sorted(value, key=str)
    return f". Write {shown(items)}" if items else ""


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def has_match(pattern: str, text: str) -> bool:
    """Whether the API server finds the pattern in the string."""
    return _compiled(pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Like the API server's RE2, ``$`` is the very end: Python's also matches before a newline at the end."""
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern))
