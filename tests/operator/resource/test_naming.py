import re

from hypothesis import given
from hypothesis import strategies as st

from market_operator.resource.naming import Key, child_name, label_value, labels, policy_name, selector

PART = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(PART, min_size=1, max_size=6).map(".".join).filter(lambda name: len(name) <= 253)


def test_a_short_name_stays_readable() -> None:
    assert child_name("okx-btc", 0) == "okx-btc-0"
    assert label_value("okx-btc") == "okx-btc"


@given(name=NAMES, shard=st.integers(0, 63))
def test_every_resource_name_gives_a_service_name_with_room_for_a_hash(name: str, shard: int) -> None:
    found = child_name(name, shard)
    assert len(found) + len("-0123456789") <= 63
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", found)


@given(name=NAMES)
def test_every_resource_name_gives_a_label_value(name: str) -> None:
    assert re.fullmatch("[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?", label_value(name))


@given(one=NAMES, other=NAMES, shard=st.integers(0, 63), another=st.integers(0, 63))
def test_no_two_shards_share_a_name(one: str, other: str, shard: int, another: int) -> None:
    if (one, shard) != (other, another):
        assert child_name(one, shard) != child_name(other, another)


@given(one=NAMES, other=NAMES)
def test_every_resource_has_a_policy_name_of_its_own(one: str, other: str) -> None:
    assert len(policy_name(one)) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", policy_name(one))
    assert (policy_name(one) == policy_name(other)) == (one == other)


def test_names_with_a_common_long_beginning_differ() -> None:
    assert child_name("a" * 200 + "b", 0) != child_name("a" * 200 + "c", 0)


def test_the_selector_is_part_of_the_labels() -> None:
    assert selector("okx-btc", 3).items() <= labels("okx-btc", 3).items()
    assert selector("okx-btc").items() <= labels("okx-btc").items()
    assert selector("okx-btc").items() <= selector("okx-btc", 3).items()
    assert labels("okx-btc", 3)["app.kubernetes.io/managed-by"] == "market-operator"


def test_a_key_reads_as_kubernetes_writes_it() -> None:
    assert str(Key("md", "okx-btc")) == "md/okx-btc"
