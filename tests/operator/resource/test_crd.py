import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from market_operator.resource.crd import crd, crd_yaml, structural

ROOT = Path(__file__).parents[3]
SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SPEC, STATUS = SCHEMA["properties"]["spec"], SCHEMA["properties"]["status"]


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in node:
            yield from nodes(node[name], f"{path}.{name}")


ALL = [*nodes(SPEC, "spec"), *nodes(STATUS, "status")]


def test_the_file_in_the_repository_is_up_to_date() -> None:
    assert (ROOT / "crds/marketcollectors.yaml").read_text() == crd_yaml(), "run `make crds`"


@pytest.mark.parametrize("words", ["$ref", "$defs", "title", "const"])
def test_schema_has_only_keywords_of_kubernetes(words: str) -> None:
    assert [path for path, node in ALL if words in node] == []


def test_every_node_has_a_type_or_is_int_or_string() -> None:
    assert [path for path, node in ALL if "type" not in node and not node.get("x-kubernetes-int-or-string")] == []


def test_every_list_map_and_string_of_the_spec_is_bounded() -> None:
    unbounded = [
        path
        for path, node in nodes(SPEC, "spec")
        if (node.get("type") == "array" and "maxItems" not in node)
        or (node.get("additionalProperties") and "maxProperties" not in node)
        or (node.get("type") == "string" and not {"maxLength", "enum"} & set(node))
    ]
    assert unbounded == []


def test_every_field_has_a_description() -> None:
    missing = [
        f"{path}.{name}"
        for path, node in ALL
        for name, child in node.get("properties", {}).items()
        if not child.get("description")
    ]
    assert missing == []


def fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every field that may be set, with whether it must be."""
    for name, child in node.get("properties", {}).items():
        if not child["description"].startswith("Refused:"):
            yield f"{path}.{name}", child, name in node.get("required", ())
            yield from fields(child, f"{path}.{name}")
            yield from fields(child.get("items", {}), f"{path}.{name}")


def test_every_description_names_the_default_or_required() -> None:
    silent = [
        path
        for path, node, required in fields(SPEC, "spec")
        if not re.search(r"\bRequired\b" if required else r"\b[Dd]efault\b", node["description"])
    ]
    assert silent == []


def shown(value: Any) -> str:
    """A default as a description writes it."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(shown, value))}]"
        case _:
            return str(value)


def test_the_default_in_a_description_is_the_one_in_the_schema() -> None:
    other = [
        f"{path}: {shown(node['default'])!r}"
        for path, node, _ in fields(SPEC, "spec")
        if "default" in node and node["type"] != "object" and path != "spec.sinks"
        if not re.search(rf"[Dd]efault:? {re.escape(shown(node['default']))}", node["description"])
    ]
    assert other == []


def used(value: Any, path: str) -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():
                yield f"{path}.{name}"
                yield from used(inner, f"{path}.{name}")
        case list():
            for inner in value:
                yield from used(inner, path)


def test_every_field_of_the_spec_is_in_a_sample() -> None:
    found: set[str] = set()
    for sample in (ROOT / "crds/samples").rglob("*.yaml"):
        found.update(used(yaml.safe_load(sample.read_text()).get("spec"), "spec"))
    assert [path for path, _, _ in fields(SPEC, "spec") if path not in found] == []


def test_optional_objects_have_no_default() -> None:
    assert "default" not in SPEC["properties"]["orderbook"]
    assert "default" not in SPEC["properties"]["candle"]


def inside_lists(node: dict[str, Any], path: str, is_inside: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below the items of a list."""
    if is_inside:
        yield path, node
    for name, child in node.get("properties", {}).items():
        yield from inside_lists(child, f"{path}.{name}", is_inside)
    if "items" in node:
        yield from inside_lists(node["items"], f"{path}[]", is_inside=True)


def test_no_list_item_of_the_spec_has_a_default() -> None:
    """Otherwise each `kubectl apply` says "configured", and Argo CD reports OutOfSync."""
    found = [*inside_lists(SPEC, "spec")]
    assert "spec.sinks[].file.rotate.size" in dict(found)
    assert [path for path, node in found if "default" in node] == []


def test_nested_defaults_are_written_out() -> None:
    backoff = {"initial": "1s", "max": "60s"}
    assert SPEC["properties"]["connection"]["default"]["backoff"] == backoff


def test_a_new_resource_is_not_ready_by_default() -> None:
    assert STATUS["default"]["observedGeneration"] == -1


def test_an_optional_field_is_the_field_without_null() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "default": None, "description": "ours"}
    inner = {"type": "object", "title": "A", "description": "its", "properties": {}}
    found = structural(node, {"A": inner})
    assert found == {"type": "object", "description": "ours", "properties": {}}
