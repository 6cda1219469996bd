"""How many Events may be written: bounded for each resource and for all, so that neither a stream that flaps nor an
outage of the exchange becomes a flood. Pure: time is an argument."""

from dataclasses import dataclass, field

from market_operator.resource.naming import Key

# For each resource as client-go's recorder has it: so many at once, then one in so many seconds.
BURST, SECONDS_EACH = 25, 300.0
# For all resources together.
ALL_BURST, ALL_SECONDS_EACH = 50, 0.1


@dataclass(slots=True)
class EventBudget:
    """Holds, for each resource, when all that it was given is earned again: one number, since there may be thousands.

    What is not allowed is left out for good; the condition in the status says the same.
    """

    _earned: dict[Key, float] = field(default_factory=dict)
    _all_earned: float = 0.0

    def take(self, key: Key, now: float) -> bool:
        """Whether one more Event about `key` may be written at `now` (seconds)."""
        own, of_all = max(self._earned.get(key, now), now), max(self._all_earned, now)
        if own - now > (BURST - 1) * SECONDS_EACH or of_all - now > (ALL_BURST - 1) * ALL_SECONDS_EACH:
            return False
        self._earned[key], self._all_earned = own + SECONDS_EACH, of_all + ALL_SECONDS_EACH
        return True

    def forget(self, key: Key) -> None:
        """A resource is gone."""
        self._earned.pop(key, None)
