"""The base of the API's configuration classes: frozen values, checked with the kinds of the resource's spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform, get_type_hints

from market_collector.errors import ConfigurationError
from market_collector.model.streams import DataType
from market_spec.durations import seconds, suggested
from market_spec.kinds import Duration, Fault, Findings, Kind, OneOf, check_range
from market_spec.messages import path_text, unknown_field, wrong_type
from market_spec.section import Field, Section, fields_of, kind_of, read_fields

T = TypeVar("T")


class Seconds(Kind, frozen=True):
    """A number of seconds between two others."""

    low: float
    high: float

    @classmethod
    def of(cls, section: type[Section], field: str) -> Seconds:
        """The limits of a duration of the resource."""
        kind = fields_of(section)[field].kind
        assert isinstance(kind, Duration)
        return cls(seconds(kind.low), seconds(kind.high))

    def read(self, value: Any, path: tuple[str | int, ...], findings: Findings) -> Any:
        """See `Kind.read`."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            findings.add(path, wrong_type("a number of seconds", value) + _seconds_hint(value))
            return value
        check_range(value, self.low, self.high, path, findings)
        return float(value)


class StoredPath(Kind, frozen=True):
    """A path, as a string or a `pathlib.Path`."""

    def read(self, value: Any, path: tuple[str | int, ...], findings: Findings) -> Any:
        """See `Kind.read`."""
        if isinstance(value, (str, Path)):
            return Path(value)
        findings.add(path, wrong_type("a path", value))
        return value


class TypeOf(OneOf, frozen=True):
    """A `DataType`, or its name."""

    choices: tuple[str, ...] = tuple(DataType)

    def read(self, value: Any, path: tuple[str | int, ...], findings: Findings) -> Any:
        """See `Kind.read`."""
        name = super().read(value, path, findings)
        return DataType(name) if name in self.choices else name


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Model:
    """Frozen values. ``model_dump``, ``model_validate`` and ``model_fields`` work as in pydantic."""

    model_fields: ClassVar[dict[str, Field]] = {}
    """The fields by name."""

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        names = [name for name in cls.__annotations__ if not name.startswith("model_")]
        cls.model_fields = {name: _field(cls, name, hints[name]) for name in names}

    def __init__(self, **given: Any) -> None:
        values, faults = self.check(given)
        if faults:
            raise ConfigurationError("\n".join(_line(fault) for fault in faults))
        vars(self).update(values)

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
        """The values by name, and everything that is wrong with them."""
        findings = Findings()
        values, _ = read_fields(cls.model_fields.values(), dict(given), (), findings)
        for name, value in given.items():
            if name not in cls.model_fields:
                findings.add((str(name),), cls.unknown(str(name)))
            elif value is None and cls.model_fields[name].default is not None:
                findings.add((name,), "must not be None. Leave it out for the default")
        if not findings.faults:
            checked = object.__new__(cls)
            vars(checked).update(values)
            findings.faults += checked.faults()
        return values, findings.faults

    @classmethod
    def unknown(cls, name: str) -> str:
        """The message about a field that does not exist."""
        return unknown_field(name, list(cls.model_fields))

    def faults(self) -> Iterator[Fault]:
        """Faults between fields that are valid on their own."""
        return iter(())

    @classmethod
    def model_validate(cls, given: Mapping[str, Any]) -> Self:
        """The same as calling the class with these arguments."""
        return cls(**given)

    def model_dump(self) -> dict[str, Any]:
        """The values by name."""
        return dict(vars(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise ConfigurationError(f"{type(self).__name__}.{name}: the configuration is frozen. Make another one")

    def __delattr__(self, name: str) -> None:
        raise ConfigurationError(f"{type(self).__name__}.{name}: the configuration is frozen. Make another one")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"


def instance_of(wanted: type[T], name: str, given: T, instead: str) -> T:
    """The argument itself.

    Raises:
        ConfigurationError: it is something else; ends with ``instead``.
    """
    if isinstance(given, wanted):
        return given
    raise ConfigurationError(f"{name}: {wrong_type(f'an {wanted.__name__}', given)}. {instead}")


def _seconds_hint(value: Any) -> str:
    text = suggested(value) if isinstance(value, str) else ""
    return f". Write {seconds(text):g}" if text else ""


def _field(cls: type[Model], name: str, hint: Any) -> Field:
    return Field(name, name, kind_of(hint), not hasattr(cls, name), getattr(cls, name, None), "")


def _line(fault: Fault) -> str:
    return ": ".join(filter(None, (path_text(fault.path), fault.text)))
