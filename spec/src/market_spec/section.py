"""Sections: the objects inside a resource, with their fields and their rules."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, NamedTuple, Union, get_args, get_origin

import msgspec

from market_spec.kinds import Entries, Findings, Flag, Items, Kind, Unchecked
from market_spec.messages import Path, unknown_field, wrong_type


class Violation(NamedTuple):
    """One place where a section breaks a rule."""

    path: Path = ()
    """Below the section."""
    given: str = ""
    """The values that break the rule, for the message; empty where the path says enough."""


class Rule(msgspec.Struct, frozen=True):
    """A rule between the fields of a section: in CEL for the API server, and in Python.

    Python checks again, because the API server never checks an object that was stored before the rule existed.
    """

    cel: str
    message: str
    violations: Callable[[Any], Iterable[Violation]] | None
    """None: the rule compares an old object with a new one, which only the API server can do."""
    field: str = ""
    """The field that the API server names in its refusal."""


def exactly_one(noun: str, fields: tuple[str, ...], more: str = "") -> Rule:
    """The rule that a section has exactly one of some optional fields, given by their names in a document."""
    attributes = {re.sub("(?=[A-Z])", "_", name).lower(): name for name in fields}

    def violations(section: Any) -> Iterable[Violation]:
        given = [name for attribute, name in attributes.items() if getattr(section, attribute) is not None]
        return [] if len(given) == 1 else [Violation((), f"has {', '.join(given) or 'none'}")]

    return Rule(
        f"[{', '.join(f'has(self.{name})' for name in fields)}].filter(given, given).size() == 1",
        f"{noun} needs exactly one of {', '.join(fields)}{more}",
        violations,
    )


class Refused(msgspec.Struct, frozen=True):
    """A field of pods that nobody may set here.

    It is in the schema only so that the API server refuses it by name. Without strict validation the API server would
    silently drop an unknown field.
    """

    name: str
    reason: str
    type: str = "object"

    @property
    def message(self) -> str:
        """The refusal, as the API server reports it too."""
        return f"{self.name} is refused: {self.reason}"


class Section(msgspec.Struct, rename="camel", frozen=True):
    """An object inside the resource. Fields are camelCase in the resource: `data_types` is `dataTypes`."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    refused: ClassVar[tuple[Refused, ...]] = ()
    allows_unknown: ClassVar[bool] = False


class Field(NamedTuple):
    """One field of a section."""

    name: str
    """In a document."""
    attribute: str
    """In Python."""
    kind: Kind
    is_required: bool
    default: Any
    description: str


class Block(Kind, frozen=True):
    """A nested section."""

    section: type[Section]

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, dict):
            findings.add(path, wrong_type("a mapping (field: value)", value))
            return None
        start = len(findings.faults)
        fields, refused = fields_of(self.section), {each.name: each for each in self.section.refused}
        for name in value:
            if name in refused:
                findings.add((*path, name), refused[name].message)
            elif name not in fields and not (findings.allow_unknown or self.section.allows_unknown):
                findings.add((*path, str(name)), unknown_field(str(name), list(fields)))
        values, unsound = read_fields(fields.values(), value, path, findings)
        _check_rules(self.section.rules, values, unsound, path, findings)
        return self.section(**values) if len(findings.faults) == start else None


@cache
def fields_of(section: type[Section]) -> dict[str, Field]:
    """The fields of a section by their name in a document."""
    return {each.encode_name: _field(each) for each in msgspec.structs.fields(section)}


def _field(info: msgspec.structs.FieldInfo) -> Field:
    description = next((each for each in _metadata(info.type) if isinstance(each, str)), "")
    default = None if info.required else info.default
    return Field(info.encode_name, info.name, kind_of(info.type), info.required, default, description)


def kind_of(hint: Any) -> Kind:
    """The kind of values that an annotation allows."""
    marks = [each for each in _metadata(hint) if isinstance(each, Kind)]
    inner = _without_null(get_args(hint)[0] if get_origin(hint) is Annotated else hint)
    match marks:
        case [Items() as items]:
            return msgspec.structs.replace(items, item=kind_of(get_args(inner)[0]))
        case [Entries() as entries]:
            return msgspec.structs.replace(entries, value=kind_of(get_args(inner)[1]))
        case [kind]:
            return kind
    if get_origin(inner) is Annotated:
        return kind_of(inner)
    if inner is bool:
        return Flag()
    return Block(inner) if isinstance(inner, type) and issubclass(inner, Section) else Unchecked()


def _metadata(hint: Any) -> tuple[Any, ...]:
    return hint.__metadata__ if get_origin(hint) is Annotated else ()


def _without_null(hint: Any) -> Any:
    others = [each for each in get_args(hint) if each is not NoneType]
    return others[0] if get_origin(hint) in (Union, UnionType) and len(others) == 1 else hint


def read_fields(
    fields: Iterable[Field], given: dict[str, Any], path: Path, findings: Findings
) -> tuple[dict[str, Any], set[str]]:
    """The values of fields by attribute, and the attributes of those that have a fault."""
    values: dict[str, Any] = {}
    unsound: set[str] = set()
    for field in fields:
        start = len(findings.faults)
        value = given.get(field.name)
        if value is not None:
            values[field.attribute] = field.kind.read(value, (*path, field.name), findings)
        elif field.is_required:
            findings.add((*path, field.name), "is required")
        else:
            values[field.attribute] = field.default
        if len(findings.faults) > start:
            unsound.add(field.attribute)
    return values, unsound


class _UnsoundError(Exception):
    """A rule reads a field that has a fault of its own."""


class _Checked:
    """The values of a section, without those that have a fault."""

    def __init__(self, values: dict[str, Any], unsound: set[str]) -> None:
        self._values, self._unsound = values, unsound

    def __getattr__(self, attribute: str) -> Any:
        if attribute in self._unsound:
            raise _UnsoundError(attribute)
        return self._values[attribute]


def _check_rules(
    rules: Iterable[Rule], values: dict[str, Any], unsound: set[str], path: Path, findings: Findings
) -> None:
    checked = _Checked(values, unsound)
    for rule in rules:
        try:
            violations = list(rule.violations(checked)) if rule.violations else []
        except _UnsoundError:  # One mistake is reported once.
            continue
        for violation in violations:
            given = f" ({violation.given})" if violation.given else ""
            findings.add((*path, *violation.path), rule.message + given)


def plain(section: Section, *, with_defaults: bool = True) -> dict[str, Any]:
    """A section as a document has it, without null, and on request without every field that has its default."""
    return {
        field.name: _plain(value, with_defaults)
        for field in fields_of(type(section)).values()
        if (value := getattr(section, field.attribute)) is not None
        and (with_defaults or field.is_required or value != field.default)
    }


def _plain(value: Any, with_defaults: bool) -> Any:
    if isinstance(value, Section):
        return plain(value, with_defaults=with_defaults)
    return [_plain(each, with_defaults) for each in value] if isinstance(value, tuple) else value
