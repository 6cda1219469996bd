"""Limits Events per resource and in total, so that a flapping stream or an outage causes no flood. Pure."""

from dataclasses import dataclass, field

from market_operator.resource.naming import Key

# Per resource, like client-go's recorder: a burst, then one Event per interval.
BURST, SECONDS_EACH = 25, 300.0
# In total.
ALL_BURST, ALL_SECONDS_EACH = 50, 0.1


@dataclass(slots=True)
class EventBudget:
    """For each resource, the time at which its burst is available again.

    An Event beyond the budget is dropped. The condition in the status says the same.
    """

    _earned: dict[Key, float] = field(default_factory=dict)
    _all_earned: float = 0.0

    def take(self, key: Key, now: float) -> bool:
        """Takes one Event of `key` from the budget at `now` (seconds); whether there was one."""
        own, of_all = max(self._earned.get(key, now), now), max(self._all_earned, now)
        if own - now > (BURST - 1) * SECONDS_EACH or of_all - now > (ALL_BURST - 1) * ALL_SECONDS_EACH:
            return False
        self._earned[key], self._all_earned = own + SECONDS_EACH, of_all + ALL_SECONDS_EACH
        return True

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self._earned.pop(key, None)
