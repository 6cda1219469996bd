"""Crash (kill -9) at each write of the operator: the next operator reaches the same final state.

The cluster before a write equals the cluster after the previous write, and all other state ends with the process.
Crashes before the first write and after each write therefore cover every case.

Each step of the lifecycle has one resource per crash, and all of them are prepared together. The operator that is
started after one crash is the one that crashes next. The crashes of a step with many writes are dealt out to parts,
which run beside one another.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from api_calls import Document
from api_proxy import Hook
from end_state import differences, end_state

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(560),
]  # one crash after another, up to 10 for a part of a step

SYMBOLS = ["ADA-USDT", "BTC-USDT", "ETH-USDT"]
CHANGED = ["ADA-USDT", "BTC-USDT", "SOL-USDT"]
PLAIN = "case-plain"  # the resource whose step has no crash
IMAGE = {"image": "localhost/other:1"}


@dataclass(frozen=True)
class Step:
    """A change of a resource: the spec before (None if it does not exist yet) and the change (None to delete it)."""

    before: Document | None
    change: Document | None
    parts: int = 1


SHARDED = {"symbols": CHANGED, "shards": 2}
STEPS = {
    "create": Step(None, {"symbols": SYMBOLS}),
    "shards from 1 to 3": Step({"symbols": SYMBOLS}, {"shards": 3}, parts=3),
    "change a symbol": Step({"symbols": SYMBOLS, "shards": 3}, {"symbols": CHANGED}, parts=2),
    "change the image": Step(SHARDED, {"template": IMAGE}),
    "suspend": Step(SHARDED, {"suspend": True}),
    "delete": Step(SHARDED, None),
}
PARTS = [
    pytest.param(step, part, id=f"{name}, part {part + 1} of {step.parts}" if step.parts > 1 else name)
    for name, step in STEPS.items()
    for part in range(step.parts)
]


@pytest.mark.parametrize(("step", "part"), PARTS)
def test_crash_at_each_write_ends_in_the_same_state(ground: Any, step: Step, part: int) -> None:
    crashes = Crashes(ground, step)
    ground.start()
    crashes.prepare([PLAIN])
    count = crashes.run_without_crash()
    numbers = range(part, count + 1, step.parts)
    names = [f"case-{number:02}" for number in numbers]
    crashes.prepare(names)
    reached = [crashes.crash(name, after) for name, after in zip(names, numbers, strict=True)]
    assert sum(reached) >= max(1, (len(names) - 1) * 0.7), (
        f"{reached}: too few of {count} writes were reached; the step differs"
    )
    assert crashes.later_writes() == [], "a complete resource needed a write after a restart"


@dataclass
class Crashes:
    """One step of many resources in one ground, each with another crash."""

    ground: Any
    step: Step
    count: int = 0
    """Writes of the step without a crash."""
    finished: dict[str, int] = field(default_factory=dict)
    """The number of all writes when each resource had reached the state of the plain one."""

    def prepare(self, names: list[str]) -> None:
        """Brings resources into the state before the step."""
        if self.step.before is None:
            return
        for name in names:
            self.ground.place.create(name, **self.step.before)
        for name in names:
            self.ground.eventually(lambda name=name: self._is_complete(name))

    def run_without_crash(self) -> int:
        """Runs the step on the plain resource; returns its number of writes."""
        if self.step.before is not None:
            self._wait_at_rest(PLAIN)  # a busy operator writes its last status later
        before = len(self._writes(PLAIN))
        self.apply_step(PLAIN)
        self.ground.eventually(lambda: self._is_complete(PLAIN))
        self._wait_at_rest(PLAIN)
        self.count = len(self._writes(PLAIN)) - before
        return self.count

    def crash(self, name: str, number: int) -> bool:
        """Runs the step with a crash after write `number` (0: before the first), and starts another operator.

        A step that needs no write has its crash at once. Returns whether there was a crash: the number of status writes
        varies with the timing of reconciles.
        """
        crashed = threading.Event()

        def kill() -> None:
            self.ground.kill()
            crashed.set()

        hook = Hook(after=kill) if number else Hook(before=kill)
        if self.count:
            skip = max(number - 1, 0)
            self.ground.proxy.on(lambda call: call.is_write and call.is_of(name), hook, skip=skip, times=1)
        self.apply_step(name)
        if not self.count:
            kill()

        def crashed_or_ended() -> None:
            if not crashed.is_set():
                self._expect_like_plain(name, number)

        self.ground.eventually(crashed_or_ended)
        self.ground.proxy.heal()
        if crashed.is_set():
            self.ground.start()
        self.ground.eventually(lambda: self._expect_like_plain(name, number))
        self.finished[name] = len(self.ground.proxy.writes)
        return crashed.is_set()

    def later_writes(self) -> list[str]:
        """Applies after their resource was complete. A deletion may be sent twice, until its event arrives.

        The handover document changes when the events of the last pods arrive, so it is no part of the state either.
        """
        writes = self.ground.proxy.writes
        return [
            f"{name}: {call}"
            for name, finished in self.finished.items()
            for call in writes[finished:]
            if call.is_of(name) and call.method == "PATCH" and call.kind != "marketcollectors/status"
            if not str(call).endswith("-handover")
        ]

    def apply_step(self, name: str) -> None:
        """Applies the step to a resource."""
        place = self.ground.place
        if self.step.before is None:
            place.create(name, **(self.step.change or {}))
        elif self.step.change is None:
            place.api.delete("mcol", place.namespace, name)
        else:
            place.change(name, **self.step.change)

    def _is_complete(self, name: str) -> None:
        if self.step.change is None and name not in self.ground.place.names("mcol"):
            return
        resource = self.ground.place.api.get("mcol", self.ground.namespace, name)
        assert resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
        assert self.ground.place.condition("Ready", name)[0] == "True"
        assert "Reconciling" not in {each["type"] for each in resource["status"]["conditions"]}

    def _wait_at_rest(self, name: str) -> None:
        """Waits for 2 s without a change, with each pod as old as minReadySeconds requires."""
        before: Document = {}
        while (now := self.ground.state(name)) != before or self._has_unavailable_pods(now):
            before = now
            time.sleep(2)

    @staticmethod
    def _has_unavailable_pods(state: Document) -> bool:
        return any(each.get("status", {}).get("unavailableReplicas") for each in state["children"])

    def _expect_like_plain(self, name: str, number: int) -> None:
        """Compares the resources first, since their managed objects take six requests.

        The plain resource is read again, because a busy cluster may rest for 2 s before its last change.
        """
        names = [name, PLAIN]
        resources = {
            each["metadata"]["name"]: each for each in self.ground.place.api.all("mcol", self.ground.namespace)
        }
        this, plain = (end_state(each, resources.get(each, {}), [], []) for each in names)
        different = differences(this, plain) or differences(*self.ground.states(names).values())
        where = f"{name}, after write {number} of {self._writes(name)}"
        assert not different, "\n".join([where, *different])

    def _writes(self, name: str) -> list[str]:
        return [str(call) for call in self.ground.proxy.writes if call.is_of(name)]
