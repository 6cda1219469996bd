"""The body of a call to the control address: a JSON object, read name by name, with complaints that say what is allowed."""

import json
from collections.abc import Collection
from typing import Any, TypeVar

_Value = TypeVar("_Value")
_Number = TypeVar("_Number", int, float)


class BadCallError(ValueError):
    """The caller asked for something that is not there or makes no sense; the text says what is allowed."""


class Body:
    """Values that are absent are as good as null.

    Raises (all methods):
        BadCallError: a value is not what it must be.
    """

    def __init__(self, text: str) -> None:
        try:
            values = json.loads(text or "{}")
        except ValueError as error:
            raise BadCallError(f"the body is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise BadCallError("the body must be a JSON object")
        self._values: dict[str, Any] = values
        self._asked: set[str] = set()

    def text(self, name: str, allowed: Collection[str] | None = None) -> str | None:
        """A text, one of those allowed."""
        value: str | None = self._value(name, str)
        if value is not None and allowed is not None and value not in allowed:
            raise BadCallError(f"{name} {value!r} is not one of {', '.join(sorted(allowed))}, null")
        return value

    def whole(self, name: str, least: int = 1, most: int = 1 << 62) -> int | None:
        """A whole number within bounds."""
        value: int | None = self._value(name, int)
        return _within(name, value, least, most, "a whole number")

    def number(self, name: str, least: float = 0.0, most: float = 86_400.0) -> float | None:
        """A number within bounds."""
        value: float | None = self._value(name, int | float)
        return _within(name, value, least, most, "a number")

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._value(name, bool)
        return default if value is None else value

    def required(self, name: str, value: _Value | None) -> _Value:
        """The value of this name, which must be there."""
        if value is None:
            raise BadCallError(f"{name} is missing")
        return value

    def done(self) -> None:
        """Complain of names that mean nothing."""
        if unknown := sorted(self._values.keys() - self._asked):
            raise BadCallError(f"{', '.join(unknown)} means nothing here; known are {', '.join(sorted(self._asked))}")

    def _value(self, name: str, kind: Any) -> Any:
        self._asked.add(name)
        value = self._values.get(name)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise BadCallError(f"{name} must be of type {getattr(kind, '__name__', 'number')}, not {value!r}")
        return value


def _within(name: str, value: _Number | None, least: float, most: float, kind: str) -> _Number | None:
    if value is not None and not least <= value <= most:
        raise BadCallError(f"{name} must be {kind} from {least} to {most}, not {value}")
    return value
