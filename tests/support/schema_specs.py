"""Hypothesis strategy for specs from the schema of the CRD, with all of its fields, types and limits.

The strategy satisfies most of the CEL rules. The API server checks the others.
"""

import re
import string
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
Strategy = st.SearchStrategy[Any]
_BOUNDS = re.compile(r"duration\(self\) >= duration\('(\w+)'\) && duration\(self\) <= duration\('(\w+)'\)")
_LEAST = re.compile(r"self >= (\d+)$")
_DURATIONS = ("0s", "10ms", "100ms", "1s", "1500ms", "5s", "25s", "1m", "1m30s", "10m", "1h", "24h")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# Printable ASCII with quotes, and characters of two, three and four bytes, which often cause errors.
_TEXT = string.printable.replace("\x0b", "").replace("\x0c", "") + "äΩ€😀"
# A small set, so that examples sometimes satisfy and sometimes violate rules about equal and reserved names.
_WORDS = ("a", "b", "team", "example.org/x", "app.kubernetes.io/name", "marketcollector.dev/x", "not a label!", "")


def specs(schema: Schema) -> Strategy:
    """Specs that the schema allows and that satisfy most rules."""
    return values(schema).map(_with_dependencies)


def values(schema: Schema) -> Strategy:
    """Values that the schema allows."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return _texts(schema) | st.integers(0, 10_000)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.dictionaries(st.sampled_from(_WORDS) | st.text(_TEXT, max_size=8), _anything(), max_size=2)
    return _OF_TYPE[schema["type"]](schema)


def _anything() -> Strategy:
    leaves = st.none() | st.booleans() | st.integers(-10, 10) | st.text(_TEXT, max_size=8)
    return leaves | st.lists(leaves, max_size=2) | st.dictionaries(st.text(_TEXT, max_size=4), leaves, max_size=2)


def _objects(schema: Schema) -> Strategy:
    if "additionalProperties" in schema:
        longest = min(schema.get("maxProperties", 2), 2)
        return st.dictionaries(st.sampled_from(_WORDS), values(schema["additionalProperties"]), max_size=longest)
    required = schema.get("required", ())
    fields = {name: values(inner) for name, inner in schema.get("properties", {}).items()}
    wanted = {name: field for name, field in fields.items() if name in required}
    return st.fixed_dictionaries(wanted, optional={name: fields[name] for name in fields if name not in wanted})


def _arrays(schema: Schema) -> Strategy:
    keys = schema.get("x-kubernetes-list-map-keys", ())
    longest = min(schema.get("maxItems", 3), 3)
    items = values(schema["items"])
    if keys:
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=longest, unique_by=lambda i: i[keys[0]])
    is_set = schema.get("x-kubernetes-list-type") == "set"
    return st.lists(items, min_size=schema.get("minItems", 0), max_size=longest, unique=is_set)


def _texts(schema: Schema) -> Strategy:
    found = _BOUNDS.match(schema.get("x-kubernetes-validations", [{"rule": ""}])[0]["rule"])
    if found:
        low, high = map(seconds, found.groups())
        return st.sampled_from([text for text in _DURATIONS if low <= seconds(text) <= high])
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 64)
    if "pattern" not in schema:
        return st.text(_TEXT, min_size=shortest, max_size=min(longest, 16))
    drawn = st.from_regex(re.compile(schema["pattern"]), fullmatch=True, alphabet=_TEXT)
    return drawn.filter(lambda text: shortest <= len(text) <= longest)


def seconds(text: str) -> float:
    """The length of a duration in seconds."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|s|m|h)", text))


def _integers(schema: Schema) -> Strategy:
    rules = [_LEAST.match(each["rule"]) for each in schema.get("x-kubernetes-validations", ())]
    low = schema.get("minimum", max((int(found[1]) for found in rules if found), default=0))
    return st.integers(low, min(schema.get("maximum", 1000), low + 1000))


_OF_TYPE: dict[str, Callable[[Schema], Strategy]] = {
    "object": _objects,
    "array": _arrays,
    "string": _texts,
    "integer": _integers,
    "boolean": lambda _: st.booleans(),
}


def _with_dependencies(spec: Schema) -> Schema:
    """Apply the dependencies between fields, which the types of the schema do not express."""
    spec = dict(spec)
    if ("symbol" in spec) == ("symbols" in spec):
        spec.pop("symbol", None)
        spec.setdefault("symbols", ["BTC-USDT", "ETH-USDT"])
    if "credentials" not in spec:
        spec["dataTypes"] = [each for each in spec["dataTypes"] if each != "balance"] or ["trade"]
    for field, data_type in (("orderbook", "orderbook"), ("candle", "candle"), ("credentials", "balance")):
        if data_type not in spec["dataTypes"]:
            spec.pop(field, None)
    if "depth" in spec.get("orderbook", {}):
        spec["orderbook"] |= {"depth": 400}
    if "shards" in spec:
        spec["shards"] = min(spec["shards"], len(spec.get("symbols", ["one"])))
    if any("claimName" in sink.get("file", {}) for sink in spec.get("sinks", ())):
        spec.pop("replicas", None)
    return spec | ({"sinks": [_whole(sink) for sink in spec["sinks"]]} if "sinks" in spec else {})


def _whole(sink: Schema) -> Schema:
    """A sink with only the block of its type."""
    if "claimName" in sink.get("file", {}):
        sink["file"].pop("sizeLimit", None)
    if sink["type"] == "file":
        return {"file": {"directory": f"/data/{sink['name']}"}, **sink}
    return {name: value for name, value in sink.items() if name in ("name", "type", sink["type"])}
