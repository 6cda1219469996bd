"""The body of a call to the control address: a JSON object whose fields are validated one by one."""

import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

_Value = TypeVar("_Value")
_Number = TypeVar("_Number", int, float)


class BadCallError(ValueError):
    """A call has an unknown name or an invalid value. The message names the allowed ones."""


class Body:
    """The fields of a call. An absent field counts as null.

    Every method raises `BadCallError` for an invalid value.
    """

    def __init__(self, text: str, market_name: Callable[[str], str] = str) -> None:
        """Read the text. `market_name` returns the market's name of the field `symbol`."""
        try:
            values = json.loads(text or "{}")
        except ValueError as error:
            raise BadCallError(f"the body is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise BadCallError("the body must be a JSON object")
        if isinstance(symbol := values.get("symbol"), str):
            values["symbol"] = market_name(symbol)
        self._values: dict[str, Any] = values
        self._read: set[str] = set()

    def text(self, name: str, allowed: Collection[str] | None = None) -> str | None:
        """A string, one of `allowed` if given."""
        value: str | None = self._value(name, str)
        if value is not None and allowed is not None and value not in allowed:
            raise BadCallError(f"{name} {value!r} is not one of {', '.join(sorted(allowed))}, null")
        return value

    def whole(self, name: str, least: int = 1, most: int = 1 << 62) -> int | None:
        """An integer within bounds."""
        value: int | None = self._value(name, int)
        return _within(name, value, least, most, "an integer")

    def number(self, name: str, least: float = 0.0, most: float = 86_400.0) -> float | None:
        """A number within bounds."""
        value: float | None = self._value(name, int | float)
        return _within(name, value, least, most, "a number")

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._value(name, bool)
        return default if value is None else value

    def required(self, name: str, value: _Value | None) -> _Value:
        """The value of a required field."""
        if value is None:
            raise BadCallError(f"{name} is missing")
        return value

    def done(self) -> None:
        """Reject unknown fields. Call it after all fields have been read."""
        if unknown := sorted(self._values.keys() - self._read):
            raise BadCallError(f"{', '.join(unknown)} is unknown; known are {', '.join(sorted(self._read))}")

    def _value(self, name: str, kind: Any) -> Any:
        self._read.add(name)
        value = self._values.get(name)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise BadCallError(f"{name} must be of type {getattr(kind, '__name__', 'number')}, not {value!r}")
        return value


def _within(name: str, value: _Number | None, least: float, most: float, kind: str) -> _Number | None:
    if value is not None and not least <= value <= most:
        raise BadCallError(f"{name} must be {kind} from {least} to {most}, not {value}")
    return value
