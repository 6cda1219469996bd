"""Answers of the API server, also with objects that are damaged or nested deeply."""

import json
from typing import Any

import pytest

from market_operator.cluster.nesting import MAX_LEVELS
from market_operator.cluster.pages import names, parse, read_page
from market_operator.errors import ApiError

META = {"name": "x", "namespace": "a", "uid": "u", "resourceVersion": "1"}


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def deep(levels: int = 10_000, **meta: str) -> str:
    """An object whose managedFields are nested."""
    text = json.dumps({"metadata": {**META, **meta, "managedFields": [{"fieldsV1": "X"}]}, "spec": {"b": 2}})
    return text.replace('"X"', nested(levels))


def listing(*items: str) -> bytes:
    return f'{{"metadata": {{"resourceVersion": "7"}}, "items": [{",".join(items)}]}}'.encode()


@pytest.mark.parametrize("levels", [1, MAX_LEVELS])
def test_nested_object_is_parsed(levels: int) -> None:
    assert json.dumps(parse("GET /p", nested(levels).encode())).replace(" ", "") == nested(levels)


@pytest.mark.parametrize("levels", [200, 990, 5_000, 9_994, 100_000])
def test_object_is_parsed_without_its_deep_values(levels: int, caplog: pytest.LogCaptureFixture) -> None:
    document = parse("GET /p", deep(levels).encode())
    assert document["spec"] == {"b": 2}
    assert "GET /p: values nested more than 150 levels are left out" in caplog.text


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'"\xff"', b"{", b'{"a": 1} {', b'{"a":' * 10_000])
def test_answer_that_is_no_object_is_an_error_of_the_call(answer: bytes) -> None:
    with pytest.raises(ApiError, match="GET /p: the answer"):
        parse("GET /p", answer)


@pytest.mark.parametrize("levels", [400, 5_000, 9_990, 9_994, 100_000])
def test_page_has_each_object_beside_one_that_is_nested_deeply(levels: int) -> None:
    other = json.dumps({"metadata": {**META, "name": "y"}})
    page, token = read_page("/p", listing(deep(levels), other))
    assert (page.version, token) == (7, "")
    assert [item.head["metadata"]["name"] for item in page.items] == ["x", "y"]
    assert page.items[0].document()["spec"] == {"b": 2}
    assert page.items[1].document() == json.loads(other)


def test_object_that_is_nested_deeply_is_named() -> None:
    [found] = read_page("/p", listing(deep(), json.dumps({"metadata": META})))[0].damaged
    assert (found.namespace, found.name) == ("a", "x")
    assert "nested more than 150 levels" in str(found.error)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"metadata": {"namespace": "a", "name": "x", "uid": 5}}, ("a", "x")),
        ({"metadata": {"namespace": "a", "name": 5}}, ("a", "?")),
        ({"metadata": []}, ("?", "?")),
        ([], ("?", "?")),
    ],
)
def test_object_without_a_readable_head_is_named(item: Any, expected: tuple[str, str]) -> None:
    page, _ = read_page("/p", listing(json.dumps(item), json.dumps({"metadata": META})))
    assert len(page.items) == 1
    assert [(found.namespace, found.name) for found in page.damaged] == [expected]
    assert "GET /p: an object cannot be read" in str(page.damaged[0].error)


def test_event_is_named_as_its_object() -> None:
    assert names(f'{{"type": "ADDED", "object": {deep()}}}'.encode()) == ("a", "x")
