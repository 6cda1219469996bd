from collections.abc import Callable

import pytest

from market_operator.errors import SpecError
from market_operator.resource.document import Document, Resource, read_resource
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


@pytest.mark.parametrize("levels", [58, 59, 9_000])
def test_deeply_nested_spec_is_an_error_that_names_the_place(resource: Callable[..., Resource], levels: int) -> None:
    """The API server stores 10,000 levels of what the schema does not describe, as in a CRD of an older release."""
    value: Document = {}
    for _ in range(levels):
        value = {"x": [value]} if levels == 9_000 else {"x": value}
    nested = resource(unknown=value)
    if levels == 58:
        assert read_spec(nested)
        return
    with pytest.raises(SpecError, match=r"spec\.unknown\.x.* is nested deeper than 60 levels. Remove it"):
        read_spec(nested)
