"""Requests and limits of the collector container. The default memory grows with the streams of the shard."""

from collections.abc import Callable, Mapping
from fractions import Fraction

from market_operator.manifests.shard import Shard
from market_operator.resource.document import Document
from market_operator.resource.quantities import amount
from market_spec.template import Resources

Quantities = Mapping[str, str | int]

_CPU = "20m"
# Measured: 3 books over TLS need 30 to 40 MB, 500 symbols with 2,000 streams 50 MB at rest and 100 MB under load. A
# sink's full queue needs 45 MB more.
_STREAMS_PER_STEP = 256
_REQUEST_MI, _REQUEST_STEP_MI = 48, 8
_LIMIT_MI, _LIMIT_STEP_MI = 128, 16


def container_resources(shard: Shard) -> Document:
    """Amounts of the spec, and defaults for requests and for limits that it does not name.

    A request above its limit is invalid, so a default follows the other amount where that is given. An empty map means
    no amounts at all. Given requests stay as they are: Kubernetes takes the limit for one that is absent.
    """
    given = shard.spec.template.resources or Resources()
    steps = (shard.stream_count - 1) // _STREAMS_PER_STEP
    requests = {"cpu": _CPU, "memory": f"{_REQUEST_MI + steps * _REQUEST_STEP_MI}Mi"}
    limits = {"memory": f"{_LIMIT_MI + steps * _LIMIT_STEP_MI}Mi"}
    return {
        "requests": _adapted(requests, given.limits, min) if given.requests is None else given.requests,
        "limits": {} if given.limits == {} else {**_adapted(limits, given.requests, max), **(given.limits or {})},
    }


def _adapted(defaults: Quantities, others: Quantities | None, pick: Callable[..., str | int]) -> Quantities:
    given = others or {}
    return {name: pick(default, given.get(name, default), key=_value) for name, default in defaults.items()}


def _value(quantity: str | int) -> Fraction:
    return amount(quantity) or Fraction(0)
