"""Schemas: sections of the spec as Kubernetes describes them, and the base of the pydantic models of the status."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from market_spec.durations import DURATION_MAX_LENGTH, DURATION_PATTERN
from market_spec.exchanges import SymbolText
from market_spec.kinds import Duration, Entries, Flag, Items, Kind, Number, OneOf, Quantity, Text, Unchecked
from market_spec.section import Block, Field, Refused, Rule, Section, fields_of, plain

Schema = dict[str, Any]


class Model(BaseModel):
    """An object of the status: camelCase outside and frozen. Unknown fields are ignored.

    So an operator that was rolled back still reads a status with newer fields.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Kube:
    """Adds Kubernetes' own schema words (list types, formats, unknown fields) to a field."""

    def __init__(self, **words: Any) -> None:
        self.words = {f"x-kubernetes-{name.replace('_', '-')}": value for name, value in words.items()}

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), **self.words}


class Words:
    """Adds plain schema words (format, pattern) to a field without asking Python to check them."""

    def __init__(self, **words: Any) -> None:
        self.words = words

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core), **self.words}


def section_schema(section: type[Section], **head: Any) -> Schema:
    """The structural schema of a section of the spec; `head` overrides its description and default."""
    fields = fields_of(section)
    required = [name for name, field in fields.items() if field.is_required]
    properties = {name: _field(field) for name, field in fields.items()}
    rules = [*map(_rule, section.rules), *map(_refusal, section.refused)]
    return {
        "type": "object",
        "description": (section.__doc__ or "").partition("\n\n")[0],
        **head,
        **({"required": required} if required else {}),
        "properties": properties | {each.name: _refused(each) for each in section.refused},
        **({"x-kubernetes-validations": rules} if rules else {}),
    }


def _field(field: Field) -> Schema:
    default = _plain(field.default)
    return _kind(field.kind, {"description": field.description} | ({} if default is None else {"default": default}))


def _plain(value: Any) -> Any:
    """A default as the resource has it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return plain(value) if isinstance(value, Section) else value


def _kind(kind: Kind, head: Schema) -> Schema:  # noqa: C901 - one case a kind
    match kind:
        case SymbolText():
            return {"type": "string", **head, **_string(kind), "x-kubernetes-validations": [_advice(kind)]}
        case Text():
            return {"type": "string", **head, **_string(kind)}
        case OneOf():
            return {"type": "string", **head, "enum": list(kind.choices)}
        case Duration():
            return {"type": "string", **head, **_duration(kind)}
        case Number():
            return {"type": "integer", **head, "format": "int32", **_bounds(kind)}
        case Flag():
            return {"type": "boolean", **head}
        case Quantity():
            # Without anyOf, which is optional, a refusal has two lines instead of five.
            return {**head, "pattern": kind.pattern, "maxLength": kind.max_length, "x-kubernetes-int-or-string": True}
        case Entries():
            values = _kind(kind.value, {})
            return {"type": "object", **head, "maxProperties": kind.maximum, "additionalProperties": values}
        case Items():
            return {"type": "array", **head, **_items(kind)}
        case Block():
            return section_schema(kind.section, **head)
        case Unchecked():
            return {"type": "object", **head, **_ANYTHING}
    raise TypeError(f"{kind} has no schema")


def _string(kind: Text) -> Schema:
    words = {"maxLength": kind.max_length, "minLength": kind.min_length, "pattern": kind.pattern or None}
    return {name: value for name, value in words.items() if value is not None}


def _advice(kind: SymbolText) -> Schema:
    """The pattern again as a rule, because the API server's own message shows the pattern only."""
    rule = f"self.matches('{kind.pattern}')"
    return {"message": kind.message, "messageExpression": kind.message_cel, "rule": rule}


def _bounds(kind: Number) -> Schema:
    """The limits. A minimum with advice is a rule, because the API server's own message has none."""
    most = {} if kind.maximum is None else {"maximum": kind.maximum}
    if not kind.advice:
        return {**most, "minimum": kind.minimum}
    message = f"must be {kind.minimum} to {kind.maximum}. Nearest: {kind.minimum}. {kind.advice}"
    return {**most, "x-kubernetes-validations": [{"message": message, "rule": f"self >= {kind.minimum}"}]}


def _duration(kind: Duration) -> Schema:
    rule = f"duration(self) >= duration('{kind.low}') && duration(self) <= duration('{kind.high}')"
    return {
        "maxLength": DURATION_MAX_LENGTH,
        "pattern": DURATION_PATTERN,
        "x-kubernetes-validations": [{"message": kind.message, "rule": rule}],
    }


def _items(kind: Items) -> Schema:
    return {
        **({"maxItems": kind.maximum} if kind.maximum is not None else {}),
        **({"minItems": kind.minimum} if kind.minimum else {}),
        "items": _without_defaults(_kind(kind.item, {})),
        **({"x-kubernetes-list-map-keys": [kind.key]} if kind.key else {}),
        **({"x-kubernetes-list-type": kind.list_type} if kind.list_type else {}),
    }


def _without_defaults(schema: Schema) -> Schema:
    """The schema of a list item. The operator and the collector apply the defaults.

    `kubectl apply` and Argo CD compare lists as a whole. A default that the API server stores in an item would be a
    difference each time.
    """
    kept = {name: value for name, value in schema.items() if name != "default"}
    if "properties" in kept:
        kept["properties"] = {name: _without_defaults(each) for name, each in kept["properties"].items()}
    return kept | ({"items": _without_defaults(kept["items"])} if "items" in kept else {})


_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}


def _rule(rule: Rule) -> Schema:
    where = {"fieldPath": f".{rule.field}"} if rule.field else {}
    return {**where, "message": rule.message, "rule": rule.cel}


def _refusal(refused: Refused) -> Schema:
    return {"fieldPath": f".{refused.name}", "message": refused.message, "rule": f"!has(self.{refused.name})"}


def _refused(refused: Refused) -> Schema:
    """The schema of a refused field, which accepts any value that a pod may have there."""
    described = {"type": refused.type, "description": f"Refused: {refused.reason}."}
    match refused.type:
        case "object":
            return {**described, **_ANYTHING}
        case "array":
            return {**described, "maxItems": 64, "items": {"type": "object", **_ANYTHING}}
        case "string":
            return {**described, "maxLength": 255}
        case _:
            return described
