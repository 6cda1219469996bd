"""Answers of the API server, also with objects that are damaged or nested deeply."""

import json

import pytest

from market_operator.cluster.pages import parse, read_page
from market_operator.errors import ApiError


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("levels", [1, 199, 200, 201, 400])
def test_nested_object_is_parsed(levels: int) -> None:
    assert json.dumps(parse("GET /p", nested(levels).encode())).replace(" ", "") == nested(levels)


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b'"\xff"', b"{", pytest.param(nested(100_000).encode(), id="nested"), b'{"a": 1} {'],
)
def test_answer_that_is_no_object_is_an_error_of_the_call(answer: bytes) -> None:
    with pytest.raises(ApiError, match="GET /p: the answer"):
        parse("GET /p", answer)


def test_page_keeps_an_object_that_is_nested_deeply() -> None:
    meta = {"name": "x", "namespace": "a", "uid": "u", "resourceVersion": "1"}
    item = {"metadata": {**meta, "managedFields": [{"fieldsV1": json.loads(nested(400))}]}}
    answer = json.dumps({"metadata": {"resourceVersion": "7"}, "items": [item]}).encode()
    page, token = read_page("/p", answer)
    assert (page.version, token) == (7, "")
    assert page.items[0].document() == item
