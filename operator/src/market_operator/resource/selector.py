"""Label selectors of Kubernetes: which resources this operator serves. Pure.

The API server applies the selector to lists and watches. A reconciliation checks again, since labels may change.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Labels = Mapping[str, str]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?P<key>(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME})"
_VALUE = rf"(?:{_NAME})?"
_EXISTS = re.compile(rf"(?P<without>!?)\s*{_KEY}")
_EQUALS = re.compile(rf"{_KEY}\s*(?P<operator>==?|!=)\s*(?P<values>{_VALUE})")
_AMONG = re.compile(rf"{_KEY}\s+(?P<operator>in|notin)\s*\((?P<values>\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*)\)")
# A comma between parentheses separates values, any other separates requirements.
_SEPARATOR = re.compile(r",(?![^(]*\))")
_FORMS = "a=b, a!=b, a in (b,c), a notin (b,c), a or !a, joined by commas"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement on one label: its value is among `values`, or it exists if `values` is None.

    `is_negated` reverses it.

    As in the API server, a missing label meets every negated requirement.
    """

    key: str
    values: frozenset[str] | None
    is_negated: bool

    def is_met(self, labels: Labels) -> bool:
        """Whether an object with `labels` meets the requirement."""
        has = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return has != self.is_negated


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements of a selector; `text` is the user's own, for the API server. Without requirements: everything."""

    text: str = ""
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether an object with `labels` is selected."""
        return all(requirement.is_met(labels) for requirement in self.requirements)


EVERYTHING = Selector()


def read_selector(text: str) -> Selector:
    """The selector in `text`.

    Raises:
        ValueError: Kubernetes would refuse it; the message shows the part and the allowed forms.
    """
    parts = [part.strip() for part in _SEPARATOR.split(text)] if text.strip() else []
    return Selector(text.strip(), tuple(map(_requirement, parts)))


def _requirement(part: str) -> Requirement:
    for pattern, read in _READERS:
        if found := pattern.fullmatch(part):
            return read(found)
    raise ValueError(f"{part!r} is not a label requirement: must be {_FORMS}")


def _exists(found: re.Match[str]) -> Requirement:
    return Requirement(found["key"], None, found["without"] == "!")


def _valued(found: re.Match[str]) -> Requirement:
    values = frozenset(value.strip() for value in found["values"].split(","))
    return Requirement(found["key"], values, found["operator"] in ("!=", "notin"))


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Requirement]], ...] = (
    (_EXISTS, _exists),
    (_EQUALS, _valued),
    (_AMONG, _valued),
)
