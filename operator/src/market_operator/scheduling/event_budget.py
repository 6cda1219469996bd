"""Limits Events per resource, per namespace and in total, so that flapping or an outage causes no flood. Pure."""

from dataclasses import dataclass, field

from market_operator.resource.naming import Key
from market_operator.scheduling.token_buckets import TokenBuckets

# Per resource, like client-go's recorder: a burst, then one Event per interval.
BURST, SECONDS_EACH = 25, 300.0
# Per namespace: half of the burst of all, and a fifth of their rate.
NAMESPACE_BURST, NAMESPACE_SECONDS_EACH = 50, 0.5
# In total.
ALL_BURST, ALL_SECONDS_EACH = 100, 0.1


@dataclass(slots=True)
class EventBudget:
    """The budgets of Events. One beyond a budget is dropped. The condition in the status says the same."""

    _resources: TokenBuckets = field(default_factory=lambda: TokenBuckets(BURST, SECONDS_EACH))
    _namespaces: TokenBuckets = field(default_factory=lambda: TokenBuckets(NAMESPACE_BURST, NAMESPACE_SECONDS_EACH))
    _all: TokenBuckets = field(default_factory=lambda: TokenBuckets(ALL_BURST, ALL_SECONDS_EACH))

    def take(self, key: Key, now: float) -> bool:
        """Takes one Event of `key` from the budgets at `now` (seconds); whether each had one."""
        buckets = ((self._resources, key), (self._namespaces, key.namespace), (self._all, None))
        if any(bucket.wait(name, now) for bucket, name in buckets):
            return False
        for bucket, name in buckets:
            bucket.take(name, now)
        return True

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self._resources.forget(key)
