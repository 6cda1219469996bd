"""Each kind of value: the values that it accepts, and the message about those that it refuses."""

import math
from typing import Any

import pytest

from market_spec.kinds import (
    Constant,
    Duration,
    Entries,
    Findings,
    Flag,
    Items,
    Kind,
    Number,
    OneOf,
    Quantity,
    Text,
    Unchecked,
    check_range,
)

NAME = Text("a name", "lower case letters", "^[a-z]+$", min_length=2, max_length=4)
DIGITS = Text("a number", "digits", "^[0-9]+$")
COLOR = OneOf(("red", "green"))
SECONDS = Duration("1s", "1m")
UNIQUE = Items(1, 3, "set", item=Number(0))
KEYED = Items(0, list_type="map", key="name", item=Unchecked())


def faults(kind: Kind, value: Any) -> list[tuple[Any, str]]:
    findings = Findings()
    kind.read(value, ("f",), findings)
    return [(fault.path, fault.text) for fault in findings.faults]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (NAME, "ab"),
        (NAME, "abcd"),
        (COLOR, "green"),
        (SECONDS, "1s"),
        (SECONDS, "1m"),
        (SECONDS, "30s500ms"),
        (Number(1, 5), 1),
        (Number(1, 5), 5),
        (Number(1), 2**31),
        (Constant("v1"), "v1"),
        (Constant(1), 1),
        (Flag(), False),
        (Quantity(), "100m"),
        (Quantity(), "1.5Gi"),
        (Quantity(), 2),
        (Unchecked(), {"any": [1]}),
        (Entries(1), {"a": True}),
    ],
)
def test_accepted_value_is_returned_unchanged(kind: Kind, value: Any) -> None:
    findings = Findings()
    assert kind.read(value, (), findings) == value
    assert findings.faults == []


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (NAME, "a", '"a" is not a name: must be lower case letters'),
        (NAME, "abcde", '"abcde" is not a name: must be lower case letters'),
        (NAME, "ABC", '"ABC" is not a name: must be lower case letters'),
        (NAME, "abc\n", r'"abc\n" is not a name: must be lower case letters'),
        (NAME, 7, "7 is not a name: must be lower case letters"),
        (DIGITS, 7, 'must be a string, not a number (7). Put it in quotes: "7"'),
        (NAME, True, "must be a string, not a boolean (true)"),
        (COLOR, "gren", '"gren" is not allowed: must be red or green. Did you mean green?'),
        (COLOR, "blue", '"blue" is not allowed: must be red or green'),
        (COLOR, ["red"], "must be a string, not a list"),
        (COLOR, 7, "7 is not allowed: must be red or green"),
        (COLOR, "RED", '"RED" is not allowed: must be red or green. Did you mean red?'),
        (OneOf(("okx",)), "OKX", '"OKX" is not allowed: must be okx. Did you mean okx?'),
        (OneOf(("okx",)), "bar", '"bar" is not allowed: must be okx'),
        (OneOf(("1",)), 1, 'must be a string, not a number (1). Put it in quotes: "1"'),
        (SECONDS, "500ms", '"500ms" is out of range: must be 1s to 1m. Nearest: 1s'),
        (SECONDS, "1m1s", '"1m1s" is out of range: must be 1s to 1m. Nearest: 1m'),
        (
            SECONDS,
            "1 s",
            '"1 s" is not a duration: must be numbers with ms, s, m or h, such as 30s or 1m30s, from 1s to 1m. '
            "Write 1s",
        ),
        (
            SECONDS,
            "60",
            '"60" is not a duration: must be numbers with ms, s, m or h, such as 30s or 1m30s, from 1s to 1m. '
            "Write 60s",
        ),
        (SECONDS, 30, "must be a duration from 1s to 1m, not a number (30). Write 30s"),
        (SECONDS, 1.5, "must be a duration from 1s to 1m, not a number (1.5). Write 1500ms"),
        (SECONDS, 61, "must be a duration from 1s to 1m, not a number (61)"),
        (SECONDS, -1, "must be a duration from 1s to 1m, not a number (-1)"),
        (SECONDS, math.inf, "must be a duration from 1s to 1m, not a number (Infinity)"),
        (SECONDS, True, "must be a duration from 1s to 1m, not a boolean (true)"),
        (Number(1, 5), 0, "0 is out of range: must be 1 to 5. Nearest: 1"),
        (Number(1, 5), 6, "6 is out of range: must be 1 to 5. Nearest: 5"),
        (Number(1), 0, "0 is out of range: must be 1 or more. Nearest: 1"),
        (Number(1), True, "must be an integer, not a boolean (true)"),
        (Number(1), 1.0, "must be an integer, not a number (1.0). Write 1"),
        (Number(1), 1.5, "must be an integer, not a number (1.5)"),
        (Number(1), "5", 'must be an integer, not a string ("5"). Write 5'),
        (Number(1), "five", 'must be an integer, not a string ("five")'),
        (Constant("v1"), "v2", '"v2" is not allowed: must be v1'),
        (Constant(1), True, "true is not allowed: must be 1"),
        (Flag(), "true", 'must be true or false, not a string ("true")'),
        (Flag(), 1, "must be true or false, not a number (1)"),
        (Quantity(), "1GB", '"1GB" is not a quantity: must be a number with a unit, such as 100m or 1Gi'),
        (Quantity(), "1" * 33, f'"{"1" * 33}" is not a quantity: must be a number with a unit, such as 100m or 1Gi'),
        (Quantity(), True, "must be a quantity such as 100m or 1Gi, not a boolean (true)"),
        (Unchecked(), [], "must be a mapping (field: value), not a list"),
        (Entries(1), "a", 'must be a mapping (name: value), not a string ("a")'),
        (Entries(1), {"a": True, "b": True}, "has 2 entries: must have at most 1"),
        (UNIQUE, "1", 'must be a list, not a string ("1"). Write ["1"]'),
        (UNIQUE, "b, a", 'must be a list, not a string ("b, a"). Write ["b", "a"]'),
        (UNIQUE, " ", 'must be a list, not a string (" ")'),
        (UNIQUE, 1, "must be a list, not a number (1). Write [1]"),
        (UNIQUE, {"a"}, 'must be a list, not a set. Write ["a"]'),
        (UNIQUE, {"a": 1}, "must be a list, not a mapping"),
        (UNIQUE, str, "must be a list, not the class str"),
        (UNIQUE, math.sqrt, "must be a list, not a builtin_function_or_method"),
        (UNIQUE, [], "has 0 items: must have 1 to 3"),
        (UNIQUE, [1, 2, 3, 4], "has 4 items: must have 1 to 3"),
        (Items(1), [], "has 0 items: must have 1 or more"),
    ],
)
def test_refused_value_has_one_message_with_the_constraint(kind: Kind, value: Any, message: str) -> None:
    assert faults(kind, value) == [(("f",), message)]


def test_fault_in_a_mapping_or_list_names_the_entry() -> None:
    assert faults(Entries(2), {"a": True, "b": 1}) == [(("f", "b"), "must be true or false, not a number (1)")]
    assert faults(UNIQUE, [1, -1]) == [(("f", 1), "-1 is out of range: must be 0 or more. Nearest: 0")]


def test_item_listed_twice_is_refused_in_a_set_and_by_the_key_of_a_map() -> None:
    assert faults(UNIQUE, [1, 2, 1]) == [(("f", 2), "1 is listed twice. List each only once")]
    twice = [{"name": "a"}, {"name": "b"}, {"name": "a", "other": 1}]
    assert faults(KEYED, twice) == [(("f", 2, "name"), '"a" is listed twice. List each only once')]
    assert faults(Items(0, list_type="atomic", item=Number(0)), [1, 1]) == []


def test_items_without_the_key_of_a_map_are_not_compared() -> None:
    assert faults(KEYED, [{}, {}]) == []


def test_list_is_read_as_a_tuple() -> None:
    assert UNIQUE.read([1, 2], (), Findings()) == (1, 2)


def test_all_faults_are_reported_in_order() -> None:
    assert [path for path, _ in faults(UNIQUE, [-1, 2, 3, -1])] == [("f",), ("f", 0), ("f", 3), ("f", 3)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.25, "0.25 is out of range: must be 0.5 to 1.5. Nearest: 0.5"),
        (2.0, "2.0 is out of range: must be 0.5 to 1.5. Nearest: 1.5"),
        (float("nan"), "NaN is out of range: must be 0.5 to 1.5. Nearest: 1.5"),
    ],
)
def test_check_range_names_the_nearest_number(value: float, message: str) -> None:
    findings = Findings()
    check_range(value, 0.5, 1.5, (), findings)
    assert [fault.text for fault in findings.faults] == [message]
    check_range(1.5, 0.5, 1.5, (), findings)
    assert len(findings.faults) == 1


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("cpu", 0.5, '. Write "500m"'),
        ("cpu", 1.25, '. Write "1250m"'),
        ("cpu", 0.29, '. Write "290m"'),
        ("cpu", 0.0005, '. Put it in quotes: "0.0005"'),
        ("memory", 1.5, '. Put it in quotes: "1.5"'),
        ("cpu", -0.5, ""),
        ("cpu", math.nan, ""),
        ("cpu", math.inf, ""),
    ],
)
def test_fraction_as_a_quantity_names_the_valid_form(name: str, value: float, hint: str) -> None:
    """YAML reads ``cpu: 0.5`` as a number, which the API server refuses."""
    findings = Findings()
    Quantity().read(value, ("limits", name), findings)
    [fault] = findings.faults
    assert fault.text.endswith(f"){hint}")
