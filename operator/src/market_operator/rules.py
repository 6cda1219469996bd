"""What the models are made of: sections of a resource with rules that both the API server and Python can check.

A rule is written once, with its CEL text for the API server, its message for people, and the same claim in Python.
Python checks again because an object that was stored before a rule existed is never checked by the API server.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Rule:
    """One claim about a section.

    `holds` is None for a rule about the change from an old to a new object, which only the API server sees.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None
    field: str = ""

    def schema(self) -> dict[str, str]:
        """The rule as an entry of x-kubernetes-validations."""
        entry = {"rule": self.cel, "message": self.message}
        return {**entry, "fieldPath": f".{self.field}"} if self.field else entry


class Section(BaseModel):
    """An object inside the resource: camelCase outside, frozen, and unknown fields are left alone.

    Unknown fields are ignored so that an operator that was rolled back still serves resources with newer fields.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.rules:
            if rule.holds and not rule.holds(self):
                raise ValueError(rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        if cls.rules:
            schema["x-kubernetes-validations"] = [rule.schema() for rule in cls.rules]
        return schema


class Kube:
    """Adds Kubernetes' own schema words (list types, formats, unknown fields) to a field."""

    def __init__(self, **words: Any) -> None:
        self.words = {f"x-kubernetes-{name.replace('_', '-')}": value for name, value in words.items()}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), **self.words}


class Words:
    """Adds plain schema words (format, pattern) to a field without asking Python to check them."""

    def __init__(self, **words: Any) -> None:
        self.words = words

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), **self.words}
