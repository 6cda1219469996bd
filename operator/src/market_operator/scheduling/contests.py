"""Objects that another writer changes back, each time that the operator puts them right. Pure.

The first change is put right at once. Each further one waits twice as long, so that two writers who want different
things do not keep the API server busy.
"""

from dataclasses import dataclass, field

from market_operator.resource.naming import Key

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 300.0
# A person must act once an object was put right this often.
HOPELESS = 5
_REPEATED = 2
_FORGET_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Contest:
    """An object that was put into `state` `count` times in a row, last at `last` (seconds since 1970)."""

    state: str
    count: int
    last: float
    message: str

    @property
    def delay(self) -> float:
        """Seconds from the last time until the object may be put right again."""
        return min(FIRST_DELAY_S * 2 ** (self.count - 1), LONGEST_DELAY_S) if self.count else 0.0

    @property
    def ends(self) -> float:
        """Time at which it is over, if nobody changes the object."""
        return self.last + 2 * self.delay + _FORGET_AFTER_S


@dataclass(slots=True)
class Contests:
    """The contests by resource and object. Times are in seconds since 1970."""

    _known: dict[Key, dict[str, Contest]] = field(default_factory=dict)

    def wait(self, key: Key, name: str, state: str, now: float) -> float:
        """Seconds until the object `name` may be put into `state` again; 0 means now."""
        found = self._of(key, now).get(name)
        return max(0.0, found.last + found.delay - now) if found and found.state == state else 0.0

    def put_right(self, key: Key, name: str, state: str, is_foreign: bool, message: str, now: float) -> bool:
        """Notes a write of an object; whether another writer had changed it. `message` says how, if `is_foreign`.

        A second write of one state in a row is foreign, too.
        """
        known = self._of(key, now).get(name, Contest("", 0, now, ""))
        count = known.count + 1 if known.state == state else int(is_foreign)
        self._known.setdefault(key, {})[name] = Contest(state, count, now, message)
        return count > 0

    def repeated(self, key: Key, now: float) -> tuple[Contest, ...]:
        """The contests of a resource that are no single event."""
        return tuple(each for each in self._of(key, now).values() if each.count >= _REPEATED)

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self._known.pop(key, None)

    def _of(self, key: Key, now: float) -> dict[str, Contest]:
        found = self._known.get(key)
        if not found:
            return {}
        kept = {name: contest for name, contest in found.items() if contest.ends > now}
        if len(kept) < len(found):
            self._known[key] = kept
        if not kept:
            del self._known[key]
        return kept
