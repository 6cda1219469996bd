import pytest

from market_operator.selection import EVERYTHING, read_selector

BOTH = {"team": "a", "tier": "x"}
TEAM = {"team": "a"}
NONE: dict[str, str] = {}

# Selector, and whether it selects BOTH, TEAM and NONE. tests/cluster/test_selection.py asks the API server the same.
CASES = [
    ("", (True, True, True)),
    ("team=a", (True, True, False)),
    ("team==a", (True, True, False)),
    (" team = a , tier=x ", (True, False, False)),
    ("team=b", (False, False, False)),
    ("tier=", (False, False, False)),
    ("team!=a", (False, False, True)),
    ("tier!=y", (True, True, True)),
    ("tier in (x,y)", (True, False, False)),
    ("tier in ( y , z )", (False, False, False)),
    ("tier notin (x,y)", (False, True, True)),
    ("tier notin (z),team in (a)", (True, True, False)),
    ("tier", (True, False, False)),
    ("!tier", (False, True, True)),
    ("! tier,team", (False, True, False)),
    ("example.com/team", (False, False, False)),
    ("!example.com/team,tier", (True, False, False)),
]


@pytest.mark.parametrize(("text", "selected"), CASES)
def test_a_selector_selects_as_kubernetes_does(text: str, selected: tuple[bool, ...]) -> None:
    selector = read_selector(text)
    assert tuple(selector.matches(labels) for labels in (BOTH, TEAM, NONE)) == selected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("team=a,", "''"),
        ("team in", "'team in'"),
        ("team in ()extra", "'team in ()extra'"),
        ("team=a b", "'team=a b'"),
        ("-team=a", "'-team=a'"),
        ("team=" + "a" * 64, "a" * 64),
        ("!team=a", "'!team=a'"),
        ("team>1", "'team>1'"),
        ("Upper/team=a", "'Upper/team=a'"),
        ("team in (a", "'team in (a'"),
    ],
)
def test_what_kubernetes_would_not_understand_is_told_with_the_part_and_the_forms(text: str, part: str) -> None:
    with pytest.raises(ValueError, match="is no part of a label selector; write a=b, a!=b, a in") as refusal:
        read_selector(text)
    assert part in str(refusal.value)


def test_without_a_selector_everything_is_ours() -> None:
    assert read_selector("  ") == EVERYTHING
    assert EVERYTHING.matches({"a": "b"})
