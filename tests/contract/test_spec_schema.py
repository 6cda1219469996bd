"""The collector's reader and the CRD describe one spec: the same fields, types, limits and defaults."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from market_collector.config.spec import API_VERSION, KIND, SYSTEM_DIRECTORIES, Resource, Spec
from market_collector.exchanges import EXCHANGES
from market_operator.resource import api
from market_operator.resource.exchanges import CAPABILITIES, Interval

CRD = Path(__file__).parents[2] / "crds" / "marketcollectors.yaml"
WORDS = {
    "type",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "default",
    "required",
    "x-shortest",
    "x-longest",
}
BETWEEN = re.compile(r"duration\(self\) >= duration\('(\w+)'\) && duration\(self\) <= duration\('(\w+)'\)")
Schema = dict[str, Any]


def crd_spec() -> Schema:
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    spec: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def collector_spec() -> Schema:
    """The reader's schema with references put in, absent spelled as left out, and the registry's exchanges."""
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Spec)))
    spec: Schema = resolved(schema["$defs"]["Spec"], schema["$defs"])
    spec["properties"]["exchange"]["enum"] = list(EXCHANGES)
    return spec


def resolved(schema: Any, definitions: Schema) -> Any:
    match schema:
        case {"$ref": str(name), **rest}:
            return {**resolved(definitions[name.removeprefix("#/$defs/")], definitions), **resolved(rest, definitions)}
        case {"anyOf": [some, {"type": "null"}], **rest}:
            return {**resolved(some, definitions), **resolved(rest, definitions)}
        case dict():
            return {key: resolved(value, definitions) for key, value in schema.items() if value is not None}
        case list():
            return [resolved(item, definitions) for item in schema]
        case _:
            return schema


def flat(schema: Schema, path: str = "spec") -> Iterator[tuple[str, Any]]:
    """Every limit with its path; Kubernetes' own words are put into JSON schema's."""
    if schema.get("x-kubernetes-list-type") == "set":
        schema = {**schema, "uniqueItems": True}
    for rule in schema.get("x-kubernetes-validations", []):
        if bounds := BETWEEN.fullmatch(rule["rule"]):
            schema = {**schema, "x-shortest": bounds[1], "x-longest": bounds[2]}
    for word in sorted(WORDS & schema.keys()):
        value = sorted(schema[word]) if word == "required" else schema[word]
        if value != []:
            yield f"{path}: {word}", value
    if "items" in schema:
        yield from flat(schema["items"], f"{path}[]")
    for name, inner in schema.get("properties", {}).items():
        if (path, name) != ("spec", "template"):
            yield from flat(inner, f"{path}.{name}")


def test_both_schemas_say_the_same() -> None:
    ours, theirs = dict(flat(collector_spec())), dict(flat(crd_spec()))
    types_left_to_enum = {key for key in theirs.keys() - ours.keys() if key.endswith(": type")}
    assert {key: ours.get(key) for key in theirs if key not in types_left_to_enum} == {
        key: theirs[key] for key in theirs if key not in types_left_to_enum
    }
    assert ours.keys() - theirs.keys() == set()


def test_the_comparison_sees_every_kind_of_limit() -> None:
    words = {key.rpartition(" ")[2] for key, _ in flat(crd_spec())}
    assert words == WORDS


def test_both_name_the_resource_alike() -> None:
    assert (API_VERSION, KIND) == (api.API_VERSION, api.KIND)
    assert get_args(Resource.__annotations__["kind"]) in ((), (KIND,))


@pytest.mark.parametrize("name", sorted({*EXCHANGES, *CAPABILITIES}))
def test_both_know_what_an_exchange_offers(name: str) -> None:
    exchange, offer = EXCHANGES[name], CAPABILITIES[name]
    assert sorted(exchange.offers) == sorted(offer.data_types)
    assert sorted(exchange.book_depths) == sorted(offer.depths)
    assert sorted(exchange.candle_intervals) == sorted(get_args(Interval))
    assert (port(exchange.websocket), port(exchange.rest)) == (offer.websocket_port, offer.rest_port)


def port(address: str) -> int:
    return urlsplit(address).port or 443


def test_both_protect_the_same_directories() -> None:
    rules = str(crd_spec()["properties"]["sinks"]["items"]["properties"]["file"]["x-kubernetes-validations"])
    assert all(repr(directory) in rules.replace('"', "'") for directory in SYSTEM_DIRECTORIES)
    assert rules.count("'/") == len(SYSTEM_DIRECTORIES) + 1  # and the '/' of startsWith
