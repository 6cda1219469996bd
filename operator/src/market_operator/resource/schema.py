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


@dataclass(frozen=True, slots=True)
class Refused:
    """A field that a pod has in this place and that nobody may set.

    It is in the schema only so that the API server refuses it in words: a field that it does not know it drops in
    silence, for everybody who does not ask for strict validation.
    """

    name: str
    why: str
    type: str = "object"

    @property
    def message(self) -> str:
        """What the API server says."""
        return f"{self.name} is refused: {self.why}"

    def schema(self) -> dict[str, Any]:
        """The field's schema, which takes whatever a pod would have there."""
        described = {"type": self.type, "description": f"Refused: {self.why}."}
        match self.type:
            case "object":
                return {**described, **_ANYTHING}
            case "array":
                return {**described, "maxItems": 64, "items": {"type": "object", **_ANYTHING}}
            case "string":
                return {**described, "maxLength": 255}
            case _:
                return described

    def rule(self) -> dict[str, str]:
        """Its entry of x-kubernetes-validations."""
        return {"rule": f"!has(self.{self.name})", "message": self.message, "fieldPath": f".{self.name}"}


_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}


class Section(BaseModel):
    """An object inside the resource: camelCase outside, frozen, and unknown fields are left alone.

    Unknown fields are ignored so that an operator that was rolled back still serves resources with newer fields.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")
    rules: ClassVar[tuple[Rule, ...]] = ()
    refused: ClassVar[tuple[Refused, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_refused(cls, given: Any) -> Any:
        for each in cls.refused:
            if isinstance(given, dict) and each.name in given:
                raise ValueError(each.message)
        return given

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.rules:
            if rule.holds and not rule.holds(self):
                raise ValueError(rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        if validations := [rule.schema() for rule in cls.rules] + [each.rule() for each in cls.refused]:
            schema["x-kubernetes-validations"] = validations
        if cls.refused:
            schema["properties"] |= {each.name: each.schema() for each in cls.refused}
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
