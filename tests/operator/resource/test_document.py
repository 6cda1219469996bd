from collections.abc import Callable

import pytest

from market_operator.errors import SpecError
from market_operator.resource.document import Resource, read_resource
from market_operator.resource.naming import Key
from market_operator.resource.spec import read_spec


def test_resource_is_read_from_the_api_servers_document(resource: Callable[..., Resource]) -> None:
    found = resource("okx-btc", generation=3)
    assert (found.key, found.generation, found.is_deleting) == (Key("md", "okx-btc"), 3, False)
    assert read_spec(found).all_symbols == ("BTC-USDT",)


def test_a_resource_in_deletion_is_marked() -> None:
    meta = {
        "name": "a",
        "namespace": "b",
        "uid": "u",
        "resourceVersion": "1",
        "deletionTimestamp": "2026-11-22T10:00:00Z",
    }
    assert read_resource({"metadata": meta}).is_deleting


def test_a_stored_object_that_breaks_a_rule_is_an_error(resource: Callable[..., Resource]) -> None:
    broken = resource(staleAfter="2h", shards=9)
    with pytest.raises(
        SpecError, match=r'spec\.staleAfter: "2h" is out of range: must be 1s to 1h. Nearest: 1h; spec.shards: '
    ):
        read_spec(broken)
