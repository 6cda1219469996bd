import json
import sys
import threading
from typing import Any

import pytest
from hypothesis import given

from hostile import JSON
from market_operator.cluster.nesting import MAX_LEVELS, shallow

MARK = "nested too deeply"


def nested(levels: int, start: bytes = b'{"a":', end: bytes = b"}") -> bytes:
    return start * levels + b"1" + end * levels


def levels_of(value: Any) -> int:
    found = 0
    while isinstance(value, dict | list):
        found, value = found + 1, value["a"] if isinstance(value, dict) else value[0]
    return found


@pytest.mark.parametrize(("start", "end"), [(b'{"a":', b"}"), (b"[", b"]"), (b'[{"a": ', b" } ]")])
@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 1_000, 5_000, 10_000, 100_000])
def test_deep_value_is_cut_out(levels: int, start: bytes, end: bytes) -> None:
    assert levels_of(json.loads(shallow(nested(levels, start, end)))) == MAX_LEVELS


@pytest.mark.parametrize("text", [nested(MAX_LEVELS), nested(MAX_LEVELS // 2, b'[{"a":', b"}]"), b"[" + b"{}," * 500])
def test_value_with_the_most_levels_is_the_same_bytes(text: bytes) -> None:
    assert shallow(text) is text


@pytest.mark.parametrize("string", ["[" * 1_000, '\\"' + "{" * 1_000, "\\", '"[' * 500, "\n\\\\" + "[" * 999])
def test_brackets_in_strings_are_no_levels(string: str) -> None:
    text = json.dumps({"a": string, "b": {string: [string]}}).encode()
    assert shallow(text) is text
    document = json.loads(shallow(b"[" + text + b"," + nested(10_000) + b"," + text + b"]"))
    assert document[0] == document[2] == json.loads(text)
    assert MARK in json.dumps(document[1])


def test_other_values_beside_a_deep_one_stay() -> None:
    deep = nested(10_000)
    document = json.loads(shallow(b'{"a":' + deep + b',"metadata":{"name":"x"},"b":[' + deep + b',{"c":"]"}]}'))
    assert document["metadata"] == {"name": "x"}
    assert document["b"][1] == {"c": "]"}


@pytest.mark.parametrize("deepest", [b"{}", b"[]", b"1", b'"{}{}"'])
def test_empty_objects_hide_no_deep_value(deepest: bytes) -> None:
    """Their number is known before anything is parsed, and they are the most of a usual object."""
    empty = b"{}," * 500
    for levels in range(MAX_LEVELS - 3, MAX_LEVELS + 3):
        deep = b"[" * (levels - 1) + deepest + b"]" * (levels - 1)
        text = b"[" + empty + deep + b"]"
        depth = levels + (deepest in (b"{}", b"[]"))
        assert (shallow(text) is text) is (depth <= MAX_LEVELS)


@given(value=JSON)
def test_any_json_stays_as_it_is(value: Any) -> None:
    text = json.dumps([value] + [[]] * MAX_LEVELS).encode()
    assert shallow(text) is text


@pytest.mark.parametrize(
    "text", [b"[" * 10_000, b"]" * 10_000, b'"' * 9_999, b'"' + b'\\"' * 100_000, b"[" * 200 + b'"\\']
)
def test_bytes_that_are_no_json_are_scanned_once(text: bytes) -> None:
    assert len(shallow(text)) <= len(text) + len(MARK)


def test_limit_is_below_that_of_a_small_stack() -> None:
    """CPython 3.14 bounds the recursion by the stack of the thread."""
    found = list[Any]()
    thread = threading.Thread(target=lambda: found.append(json.loads(shallow(nested(10_000)))))
    size = threading.stack_size(512 * 1024)
    thread.start()
    threading.stack_size(size)
    thread.join()
    assert levels_of(found[0]) == MAX_LEVELS < sys.getrecursionlimit() / 4
