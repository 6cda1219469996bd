"""A. The operator dies (kill -9) before and after each of its writes; the next one ends where none would have died.

The cluster before a write is the cluster after the write before it, and all else dies with the process: so it is killed
before the first write, and after each.
Each step of a resource's life has a resource per crash, so that all are in the state before the step at once; the
operator that comes after one crash is the one that dies in the next.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from api_calls import Document
from api_proxy import Hook
from end_state import differences

SYMBOLS = ["ADA-USDT", "BTC-USDT", "ETH-USDT"]
CHANGED = ["ADA-USDT", "BTC-USDT", "SOL-USDT"]
IMAGE = {"image": "localhost/other:1"}


@dataclass(frozen=True)
class Step:
    """A change of a resource: its spec before (None: it does not exist yet), and the change (None: it is deleted)."""

    before: Document | None
    change: Document | None


SHARDED = {"symbols": CHANGED, "shards": 2}
STEPS = {
    "create": Step(None, {"symbols": SYMBOLS}),
    "shards from 1 to 3": Step({"symbols": SYMBOLS}, {"shards": 3}),
    "change a symbol": Step({"symbols": SYMBOLS, "shards": 3}, {"symbols": CHANGED}),
    "change the image": Step(SHARDED, {"template": IMAGE}),
    "suspend": Step(SHARDED, {"suspend": True}),
    "delete": Step(SHARDED, None),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_crash_at_every_write_ends_as_no_crash_would(ground: Any, step: Step) -> None:
    crashes = Crashes(ground, step)
    ground.start()
    crashes.prepare(["case-00"])
    count = crashes.undisturbed("case-00")
    names = [f"case-{number:02}" for number in range(1, count + 2)]
    crashes.prepare(names)
    reached = [crashes.crash(name, after) for after, name in enumerate(names)]
    assert sum(reached) >= count * 0.7, f"{reached}: too few of {count} writes were met; the step differs"
    assert not crashes.differences, "\n".join(crashes.differences)
    assert crashes.later_writes() == [], "what was whole before a restart needed a write after it"


@dataclass
class Crashes:
    """One step, done by many resources of one ground, each with another crash.

    `golden` is the state after the step without a crash, `finished` how many writes there had been when each resource
    was there, `differences` what was not as golden in the end, by crash.
    """

    ground: Any
    step: Step
    golden: Document = field(default_factory=dict)
    finished: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def prepare(self, names: list[str]) -> None:
        """Brings resources into the state before the step."""
        if self.step.before is None:
            return
        for name in names:
            self.ground.place.create(name, **self.step.before)
        for name in names:
            self.ground.eventually(lambda name=name: self._is_whole(name), 60)

    def undisturbed(self, name: str) -> int:
        """The step without a crash; how many writes it took."""
        before = len(self._writes(name))
        self.take(name)
        self.ground.eventually(lambda: self._is_whole(name), 60)
        self.golden = self._at_rest(name)
        return len(self._writes(name)) - before

    def crash(self, name: str, number: int) -> bool:
        """The step with a crash after its write `number` (0: before the first), and another operator's start.

        Returns whether there was such a write: how often a status is written depends on what a pass happens to see.
        """
        dead = threading.Event()

        def kill() -> None:
            self.ground.kill()
            dead.set()

        hook = Hook(after=kill) if number else Hook(before=kill)
        self.ground.proxy.on(lambda call: call.is_write and call.is_of(name), hook, skip=max(number - 1, 0), times=1)
        self.take(name)
        self.ground.eventually(lambda: self._check(dead.is_set() or self._difference(name) == []), 60)
        self.ground.proxy.heal()
        if dead.is_set():
            self.ground.start()
        try:
            self.ground.eventually(lambda: self._check(self._difference(name) == []), 45)
        except AssertionError:
            different = self._difference(name)
            self.differences.append(f"{name}, after write {number} of {self._writes(name)}: {different}")
        self.finished[name] = len(self.ground.proxy.writes)
        return dead.is_set()

    def later_writes(self) -> list[str]:
        """What was applied after its resource had reached the end; a deletion may be told twice, until it was heard of."""
        writes = self.ground.proxy.writes
        return [
            f"{name}: {call}"
            for name, finished in self.finished.items()
            for call in writes[finished:]
            if call.is_of(name) and call.method == "PATCH" and call.kind != "marketcollectors/status"
        ]

    def take(self, name: str) -> None:
        """Does the step with a resource."""
        place = self.ground.place
        if self.step.before is None:
            place.create(name, **(self.step.change or {}))
        elif self.step.change is None:
            place.api.delete("mcol", place.namespace, name)
        else:
            place.change(name, **self.step.change)

    def _is_whole(self, name: str) -> None:
        if self.step.change is None and self.golden == {} and name not in self.ground.place.names("mcol"):
            return
        resource = self.ground.place.api.get("mcol", self.ground.namespace, name)
        assert resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
        assert self.ground.place.condition("Ready", name)[0] == "True"
        assert "Reconciling" not in {each["type"] for each in resource["status"]["conditions"]}

    def _at_rest(self, name: str) -> Document:
        """The state when it has not changed for two seconds."""
        before: Document = {}
        while (now := self.ground.state(name)) != before:
            before = now
            time.sleep(2)
        return before

    def _difference(self, name: str) -> list[str]:
        return differences(self.ground.state(name), self.golden)

    def _writes(self, name: str) -> list[str]:
        return [str(call) for call in self.ground.proxy.writes if call.is_of(name)]

    @staticmethod
    def _check(claim: object) -> None:
        assert claim
