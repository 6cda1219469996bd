from collections.abc import Callable
from typing import Any

import pytest

from market_operator.manifests.shard import ORDINARY, PodSettings, Shard
from market_operator.resource.document import Resource
from market_operator.resource.spec import read_spec


@pytest.fixture
def shard(resource: Callable[..., Resource]) -> Callable[..., Shard]:
    """Shard 0 of a resource; keyword arguments are fields of its spec."""

    def make(settings: PodSettings = ORDINARY, **spec: Any) -> Shard:
        found = resource(**spec)
        return Shard(found, read_spec(found), 0, read_spec(found).all_symbols, "operator/image:1", settings)

    return make
