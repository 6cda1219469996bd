"""Label selectors as Kubernetes writes them: which resources are ours to serve. Pure.

The API server selects what is listed and watched; a pass asks again, because a label may have changed since.
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
    """One demand on one label: its value is among `values` (None: it is there at all), or `is_negated`, it is not.

    A label that is missing fulfils every negated demand, as with the API server.
    """

    key: str
    values: frozenset[str] | None
    is_negated: bool

    def is_met(self, labels: Labels) -> bool:
        """Whether an object with `labels` fulfils it."""
        has = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return has != self.is_negated


@dataclass(frozen=True, slots=True)
class Selector:
    """What all selected objects fulfil; `text` is as the user wrote it, for the API server. Without one: everything."""

    text: str = ""
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether an object with `labels` is selected."""
        return all(requirement.is_met(labels) for requirement in self.requirements)


EVERYTHING = Selector()


def read_selector(text: str) -> Selector:
    """The selector that `text` says.

    Raises:
        ValueError: when Kubernetes would not understand it; the message shows the part and the forms that there are.
    """
    parts = [part.strip() for part in _SEPARATOR.split(text)] if text.strip() else []
    return Selector(text.strip(), tuple(map(_requirement, parts)))


def _requirement(part: str) -> Requirement:
    for pattern, read in _READERS:
        if found := pattern.fullmatch(part):
            return read(found)
    raise ValueError(f"{part!r} is no part of a label selector; write {_FORMS}")


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
