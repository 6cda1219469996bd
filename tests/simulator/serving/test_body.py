import json
from collections.abc import Callable

import pytest

from market_simulator.serving.body import BadCallError, Body


def body(**values: object) -> Body:
    return Body(json.dumps(values))


def test_values_are_read_by_name_and_absent_ones_are_null() -> None:
    given = body(channel="books", count=3, seconds=1.5, arg=True, path=None)
    assert given.text("channel", ["books", "trades"]) == "books"
    assert (given.whole("count"), given.number("seconds"), given.flag("arg")) == (3, 1.5, True)
    assert (given.text("path"), given.whole("after"), given.flag("other", True)) == (None, None, True)
    given.done()


def test_no_body_is_an_empty_one() -> None:
    Body("").done()


@pytest.mark.parametrize(
    ("values", "read", "why"),
    [
        ({"channel": 1}, lambda b: b.text("channel"), "channel must be of type str, not 1"),
        ({"channel": "x"}, lambda b: b.text("channel", ["b", "a"]), "channel 'x' is not one of a, b, null"),
        ({"count": 0}, lambda b: b.whole("count"), "count must be an integer from 1 to"),
        ({"count": 1.5}, lambda b: b.whole("count"), "count must be of type int, not 1.5"),
        ({"count": True}, lambda b: b.whole("count"), "count must be of type int, not True"),
        ({"seconds": -1}, lambda b: b.number("seconds"), "seconds must be a number from 0.0 to 86400.0, not -1"),
        ({"arg": 1}, lambda b: b.flag("arg"), "arg must be of type bool, not 1"),
        ({}, lambda b: b.required("frame", b.text("frame")), "frame is missing"),
        ({"chanel": 1}, lambda b: (b.text("channel"), b.done()), "chanel is unknown; known are channel"),
    ],
)
def test_bad_values_are_complained_of(values: dict[str, object], read: Callable[[Body], object], why: str) -> None:
    with pytest.raises(BadCallError, match=why):
        read(body(**values))


@pytest.mark.parametrize(("text", "why"), [("{", "not JSON"), ("[]", "must be a JSON object")])
def test_a_body_is_a_json_object(text: str, why: str) -> None:
    with pytest.raises(BadCallError, match=why):
        Body(text)
