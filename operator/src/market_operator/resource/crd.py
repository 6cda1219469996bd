"""Generates the CRD: a structural schema, defaults, CEL rules, printer columns and the scale subresource."""

from typing import Any, cast

import yaml
from pydantic import BaseModel

from market_operator.resource.schema import Schema, section_schema
from market_operator.resource.status import PENDING, Status
from market_spec.api import API_VERSION, GROUP, KIND, PLURAL, VERSION
from market_spec.spec import Spec

_HEADER = (
    f"# The {KIND} CRD ({API_VERSION}). Do not edit: "
    f"`make crds` writes it from spec/src/market_spec and operator/src/market_operator/resource.\n"
)
_DROPPED = ("title", "$defs", "additionalProperties", "default", "description", "anyOf", "$ref", "properties", "items")


def crd() -> Schema:
    """The CRD as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["mcol"],
                "categories": ["marketdata"],
            },
            "versions": [_version()],
        },
    }


def crd_yaml() -> str:
    """The CRD as the text of `crds/marketcollectors.yaml`; always the same text."""
    return _HEADER + yaml.safe_dump(crd(), sort_keys=False, width=140, allow_unicode=True)


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.shards",
                "statusReplicasPath": ".status.shards",
                "labelSelectorPath": ".status.selector",
            },
        },
        "selectableFields": [{"jsonPath": ".spec.exchange"}],
        "additionalPrinterColumns": _columns(),
        "schema": {"openAPIV3Schema": _resource()},
    }


def _columns() -> list[Schema]:
    ready = '.status.conditions[?(@.type=="Ready")]'
    return [
        _column("Exchange", "string", ".spec.exchange", "Exchange that data is collected from"),
        _column("Symbols", "string", ".status.symbols", "Collected symbols"),
        _column("Ready", "string", f"{ready}.status", "Whether data flows"),
        _column("Reason", "string", f"{ready}.reason", "Why it is Ready or not"),
        _column("Streams", "string", ".status.streams.summary", "Streams that deliver, of all streams"),
        _column("Reconnects", "integer", ".status.reconnections", "Reconnects since the resource was created"),
        _column("Gaps", "integer", ".status.gaps.detected", "Gaps found in the data since the resource was created"),
        _column("Last Message", "date", ".status.lastMessageTime", "When the exchange last sent a message"),
        _column("Age", "date", ".metadata.creationTimestamp", "When the resource was created"),
        _column("Health", "string", ".status.health", "Health in one word") | {"priority": 1},
        _column("Pods", "string", ".status.pods", "Ready and desired pods") | {"priority": 1},
        _column("Image", "string", ".status.image", "Image of the collectors") | {"priority": 1},
    ]


def _column(name: str, kind: str, path: str, description: str) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path, "description": description}


def _resource() -> Schema:
    return {
        "type": "object",
        "description": "Market data of one exchange: the symbols and data to collect, the sinks, and the status.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "kind": {"type": "string", "description": KIND},
            "metadata": {"type": "object"},
            "spec": section_schema(Spec),
            "status": {**_status_schema(Status), "default": PENDING},
        },
    }


def _status_schema(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(by_alias=True)
    return structural(schema, schema.get("$defs", {}))


def structural(node: Schema, definitions: Schema) -> Schema:
    """A JSON schema in the form that Kubernetes requires: without references, titles, null and null defaults."""
    node = _resolved(node, definitions)
    kept = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    ours = {key: kept.pop(key) for key in [*kept] if key.startswith("x-kubernetes-")}
    result = _head(node) | kept | _children(node, definitions) | ours
    return result if "x-kubernetes-int-or-string" not in result else _int_or_string(result)


def _resolved(node: Schema, definitions: Schema) -> Schema:
    """`node`, merged over the schema that it refers to: an entry of $defs, or the type of an optional field."""
    while "$ref" in node or ("anyOf" in node and "x-kubernetes-int-or-string" not in node):
        inner = definitions[node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else _not_null(node["anyOf"])
        own = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
        node = {**inner, **own}
    return node


def _not_null(options: list[Schema]) -> Schema:
    [option] = [option for option in options if option.get("type") != "null"]
    return option


def _head(node: Schema) -> Schema:
    head: Schema = {key: node[key] for key in ("type", "description") if key in node}
    default = _without_null(node.get("default"))
    return head if default is None else head | {"default": default}


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _children(node: Schema, definitions: Schema) -> Schema:
    children: Schema = {}
    if "properties" in node:
        children["properties"] = {name: structural(child, definitions) for name, child in node["properties"].items()}
    if "items" in node:
        children["items"] = structural(cast(Schema, node["items"]), definitions)
    if isinstance(node.get("additionalProperties"), dict):
        children["additionalProperties"] = structural(node["additionalProperties"], definitions)
    return children


def _int_or_string(node: Schema) -> Schema:
    kept = ("description", "pattern", "maxLength", "x-kubernetes-int-or-string")
    return {"anyOf": [{"type": "integer"}, {"type": "string"}]} | {key: node[key] for key in kept if key in node}
