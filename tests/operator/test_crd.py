from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from market_operator.crd import crd, crd_yaml, structural

ROOT = Path(__file__).parents[2]
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


def test_the_file_in_the_repository_is_what_the_models_say() -> None:
    assert (ROOT / "crds/marketcollectors.yaml").read_text() == crd_yaml(), "run `make crds`"


@pytest.mark.parametrize("words", ["$ref", "$defs", "title", "const"])
def test_nothing_is_left_that_kubernetes_does_not_know(words: str) -> None:
    assert [path for path, node in ALL if words in node] == []


def test_every_node_has_a_type_or_may_be_a_number_or_a_text() -> None:
    assert [path for path, node in ALL if "type" not in node and not node.get("x-kubernetes-int-or-string")] == []


def test_every_list_and_map_and_free_text_of_the_spec_is_bounded() -> None:
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


def test_every_optional_field_of_the_spec_says_its_default() -> None:
    silent = [
        path
        for path, node in nodes(SPEC, "spec")
        if "default" in node and node["type"] != "object" and "efault" not in node["description"]
    ]
    assert silent == []


def test_objects_that_may_be_absent_have_no_default() -> None:
    assert "default" not in SPEC["properties"]["orderbook"]
    assert "default" not in SPEC["properties"]["candle"]


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
