"""Durations as people write them in a resource: "500ms", "30s", "1m30s"."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

PATTERN = "^([0-9]+(ms|s|m|h))+$"
MAX_LENGTH = 16
_PART = re.compile("([0-9]+)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """The length of `text` in seconds.

    Raises:
        ValueError: when it is not a number and a unit (ms, s, m, h), once or more.
    """
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write numbers with ms, s, m or h, such as 30s or 1m30s")
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


@dataclass(frozen=True, slots=True)
class Between:
    """Marks a field as a duration with bounds, in the schema (pattern and CEL) and for Python alike."""

    low: str
    high: str

    @property
    def message(self) -> str:
        """What the API server says about a duration out of bounds."""
        return f"must be a duration between {self.low} and {self.high}, such as 500ms, 30s or 1m30s"

    def check(self, text: str) -> str:
        """`text`, when it is a duration within the bounds.

        Raises:
            ValueError: when it is not, with the bounds.
        """
        if len(text) > MAX_LENGTH or not seconds(self.low) <= seconds(text) <= seconds(self.high):
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = f"duration(self) >= duration('{self.low}') && duration(self) <= duration('{self.high}')"
        validations = [{"rule": rule, "message": self.message}]
        return {
            **handler(core),
            "pattern": PATTERN,
            "maxLength": MAX_LENGTH,
            "x-kubernetes-validations": validations,
        }
