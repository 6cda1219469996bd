"""The totals of a resource over every order of restarts, lost answers and late news."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from market_operator.observed.collectors import Collectors
from market_operator.observed.counters import (
    Counters,
    CounterState,
    Sample,
    fold,
    read_counter_state,
    read_counters,
    write_counter_state,
)
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key

KEY = Key("md", "okx-btc")


def reading(epoch: str, messages: int, shard: int = 0) -> Sample:
    return Sample(epoch, shard, "pod", Counters(messages=messages))


def test_a_running_epoch_counts_with_its_latest_reading() -> None:
    tally = fold(fold(CounterState(), [reading("a/1", 5)], {"a"}), [reading("a/1", 9)], {"a"})
    assert tally.total.messages == 9


def test_an_older_reading_takes_nothing_back() -> None:
    tally = fold(fold(CounterState(), [reading("a/1", 9)], {"a"}), [reading("a/1", 5)], {"a"})
    assert tally.total.messages == 9


def test_a_restarted_container_counts_on_from_its_last_words() -> None:
    tally = fold(CounterState(), [reading("a/1", 5)], {"a"})
    tally = fold(tally, [reading("a/1", 8), reading("a/2", 1)], {"a"})
    assert tally.total.messages == 9


def test_words_of_an_epoch_that_is_in_the_base_count_no_more() -> None:
    tally = CounterState()
    for start in range(1, 5):
        tally = fold(tally, [reading(f"a/{start}", 10)], {"a"})
    assert fold(tally, [reading("a/1", 10)], {"a"}).total.messages == 40


def test_a_pod_that_is_gone_goes_into_the_base_in_two_steps() -> None:
    first = fold(fold(CounterState(), [reading("a/1", 5)], {"a"}), [reading("a/1", 7)], set())
    second = fold(first, [], set())
    assert [epoch.epoch for epoch in first.epochs] == ["a/1"]
    assert second.epochs == ()
    assert (first.total, second.total) == (Counters(messages=7), Counters(messages=7))


def test_shards_that_are_gone_keep_what_they_counted() -> None:
    tally = fold(fold(CounterState(), [reading("a/1", 5, shard=2)], set()), [], set())
    assert tally.base == {2: Counters(messages=5)}


def test_the_tally_survives_being_written_and_read() -> None:
    tally = CounterState({0: Counters(messages=3), 2: Counters(resyncs=1)}, (reading("a/1", 5), reading("b/1", 7)))
    assert read_counter_state(write_counter_state(tally)) == tally


def test_what_is_no_count_counts_nothing() -> None:
    assert read_counters({"messages": -1, "records": "7", "resyncs": True, "droppedRecords": 2}) == Counters(
        dropped_records=2
    )


@given(st.lists(st.integers(0, 100), max_size=8))
def test_the_order_of_readings_means_nothing(counts: list[int]) -> None:
    readings = [reading("a/1", count) for count in counts]
    assert fold(CounterState(), readings, {"a"}).total == fold(CounterState(), readings[::-1], {"a"}).total


def _pod(uid: str, shard: int = 0, words: tuple[str, ...] = ()) -> Pod:
    return Pod(
        *(KEY, uid, uid, 1, shard, "", "", "", False, True, True, 0, 0.0, 0.0, "", "", "", ""),
        configmaps=(),
        termination_messages=words,
    )


def _report(epoch: str, count: int) -> Report:
    return Report(epoch, 0, "Healthy", "", Counters(messages=count), (), (), (), (), "", "", "")


class Fleet(RuleBasedStateMachine):
    """Pods of some shards count, crash, restart, come and vanish, while an operator looks, writes, loses answers and is
    restarted.

    `counted` is the truth by epoch. `record_termination` is what the operator was told and holds in memory, `kept` what a status
    that was written holds of it: the total must be the sum of `kept`, to the last message.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counted: dict[str, int] = {}
        self.record_termination: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.pods: dict[str, tuple[int, int]] = {}
        self.shards = 1
        self.born = 0
        self.cached = CounterState()
        self.told = Counters()
        self.collectors = Collectors()

    @rule(which=st.integers(0, 9))
    def a_pod_starts(self, which: int) -> None:
        self.born += 1
        self.pods[f"p{self.born}"] = (which % self.shards, 1)

    @rule(shards=st.integers(1, 3))
    def the_resource_is_scaled(self, shards: int) -> None:
        """Pods of shards that are no longer wanted go, with or without last words."""
        self.shards = shards
        for number, (uid, (shard, _)) in enumerate(list(self.pods.items())):
            if shard >= shards:
                self._vanish(uid, bool(number % 2))

    @rule(count=st.integers(1, 5), which=st.integers(0, 9))
    def a_pod_counts(self, count: int, which: int) -> None:
        if uid := self._some(which):
            self.counted[self._epoch(uid)] = self.counted.get(self._epoch(uid), 0) + count

    @rule(which=st.integers(0, 9))
    def the_operator_looks(self, which: int) -> None:
        if uid := self._some(which):
            self._look(uid)

    @rule(which=st.integers(0, 9), heard=st.booleans())
    def a_container_restarts(self, which: int, heard: bool) -> None:
        if uid := self._some(which):
            if heard:
                self._last_words(uid)
            shard, start = self.pods[uid]
            self.pods[uid] = (shard, start + 1)

    @rule(which=st.integers(0, 9), heard=st.booleans())
    def a_pod_vanishes(self, which: int, heard: bool) -> None:
        if uid := self._some(which):
            self._vanish(uid, heard)

    @rule(arrives=st.booleans())
    def the_status_is_written(self, arrives: bool) -> None:
        """The status is read anew before each write, so it says of itself whether the last write arrived."""
        self.collectors.drop_stored(KEY, self.cached, set(self.pods))
        heard = self.collectors.samples(KEY, [_pod(uid, self.pods[uid][0]) for uid in self.pods])
        tally = fold(self.cached, heard, set(self.pods))
        if arrives:
            self.cached = read_counter_state(json.loads(json.dumps(write_counter_state(tally))))
            self.kept = {
                epoch: max(self.kept.get(epoch, 0), count)
                for epoch, count in {**self.kept, **self.record_termination}.items()
            }

    @rule()
    def the_operator_restarts(self) -> None:
        """What it had heard and not written is lost, as the process's memory is."""
        self.collectors, self.record_termination = Collectors(), {}

    @invariant()
    def totals_never_go_back(self) -> None:
        total = self.cached.total
        assert total == total.latest(self.told)
        self.told = total

    @invariant()
    def totals_are_what_was_heard_and_nothing_twice(self) -> None:
        assert self.cached.total.messages == sum(self.kept.values()) <= sum(self.counted.values())

    @invariant()
    def the_status_stays_small(self) -> None:
        assert len(self.cached.epochs) <= 2 * self.born
        assert {epoch.shard for epoch in self.cached.epochs} | set(self.cached.base) <= {0, 1, 2}

    def teardown(self) -> None:
        """After one more look at everybody, and writes that arrive, all that any operator heard is in the total."""
        for uid in self.pods:
            self._look(uid)
        for _ in range(3):
            self.the_status_is_written(arrives=True)
        self.totals_are_what_was_heard_and_nothing_twice()
        assert all(self.kept.get(self._epoch(uid), 0) == self.counted.get(self._epoch(uid), 0) for uid in self.pods)

    def _some(self, which: int) -> str | None:
        return sorted(self.pods)[which % len(self.pods)] if self.pods else None

    def _epoch(self, uid: str) -> str:
        return f"{uid}/{self.pods[uid][1]:04}"

    def _note(self, uid: str) -> int:
        """The operator is told what a pod's present epoch has counted."""
        epoch = self._epoch(uid)
        self.record_termination[epoch] = self.counted.get(epoch, 0)
        return self.record_termination[epoch]

    def _look(self, uid: str) -> None:
        self.collectors.record_probe(_pod(uid, self.pods[uid][0]), _report(self._epoch(uid), self._note(uid)))

    def _last_words(self, uid: str) -> None:
        text = json.dumps({"contract": 1, "epoch": self._epoch(uid), "counters": {"messages": self._note(uid)}})
        self.collectors.record_termination(_pod(uid, self.pods[uid][0], (text,)))

    def _vanish(self, uid: str, heard: bool) -> None:
        if heard:
            self._last_words(uid)
        self.collectors.stopped(_pod(uid, self.pods[uid][0]))
        del self.pods[uid]


Fleet.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestFleet = Fleet.TestCase
