"""The totals of a resource over every order of restarts, lost answers and late reports."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from market_operator.observed.collectors import Collectors
from market_operator.observed.counters import (
    EPOCHS_LIMIT,
    LARGEST,
    LARGEST_COUNT,
    Counters,
    CounterState,
    Sample,
    fold,
    read_counter_state,
    read_counters,
    write_counter_state,
)
from market_operator.observed.pods import Pod
from market_operator.observed.reported_streams import Streams
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key
from market_operator.resource.status import ShardStatus

KEY = Key("md", "okx-btc")


def sample(epoch: str, messages: int, shard: int = 0) -> Sample:
    return Sample(epoch, shard, "pod", Counters(messages=messages))


def test_running_epoch_counts_with_its_latest_sample() -> None:
    state = fold(fold(CounterState(), [sample("a/1", 5)], {"a"}), [sample("a/1", 9)], {"a"})
    assert state.total.messages == 9


def test_older_sample_lowers_no_total() -> None:
    state = fold(fold(CounterState(), [sample("a/1", 9)], {"a"}), [sample("a/1", 5)], {"a"})
    assert state.total.messages == 9


def test_restarted_container_adds_to_its_termination_message() -> None:
    state = fold(CounterState(), [sample("a/1", 5)], {"a"})
    state = fold(state, [sample("a/1", 8), sample("a/2", 1)], {"a"})
    assert state.total.messages == 9


def test_sample_of_an_epoch_in_the_base_is_ignored() -> None:
    state = CounterState()
    for start in range(1, 5):
        state = fold(state, [sample(f"a/{start}", 10)], {"a"})
    assert fold(state, [sample("a/1", 10)], {"a"}).total.messages == 40


def test_epochs_of_a_gone_pod_move_into_the_base_in_two_steps() -> None:
    first = fold(fold(CounterState(), [sample("a/1", 5)], {"a"}), [sample("a/1", 7)], set())
    second = fold(first, [], set())
    assert [epoch.epoch for epoch in first.epochs] == ["a/1"]
    assert second.epochs == ()
    assert (first.total, second.total) == (Counters(messages=7), Counters(messages=7))


def finished(number: int) -> Sample:
    """The last counters of an evicted pod that still exists."""
    return Sample(f"p{number}/2026-11-22T10:{number:02}:00Z", 0, "pod", Counters(messages=10), is_final=True)


def test_any_number_of_finished_pods_is_counted_within_the_limit() -> None:
    samples = [finished(number) for number in range(46)]
    uids, state = {sample.uid for sample in samples}, CounterState()
    for _ in range(4):
        state = read_counter_state(write_counter_state(fold(state, samples, (), uids)))
        assert len(state.epochs) <= EPOCHS_LIMIT
    assert (state.total.messages, state.epochs) == (460, ())
    assert fold(state, samples, (), uids) == state, "a new process reads the same termination messages again"


def test_epochs_are_as_many_as_the_schema_takes() -> None:
    """The API server refuses the whole status beyond that, so that it would stay as it is."""
    samples = [sample(f"p{number}/2026-11-22T10:{number:02}:00Z", 1) for number in range(60)]
    state = fold(CounterState(), samples, {each.uid for each in samples})
    assert len(state.epochs) == EPOCHS_LIMIT
    [limit] = [each.max_length for each in ShardStatus.model_fields["epochs"].metadata if hasattr(each, "max_length")]
    assert limit == EPOCHS_LIMIT


def test_running_pods_are_counted_before_finished_ones() -> None:
    samples = [*(finished(number) for number in range(40)), sample("running/2026-11-22T10:59:00Z", 7)]
    state = fold(CounterState(), samples, {"running"}, {each.uid for each in samples[:-1]})
    assert [each.uid for each in state.epochs if each.uid == "running"] == ["running"]


def test_older_pod_that_still_runs_is_counted_after_a_younger_one_failed() -> None:
    state = fold(CounterState(), [sample("old/2026-11-22T10:00:00Z", 1)], {"old"})
    for _ in range(2):
        state = fold(state, [finished(30)], {"old"}, {"p30"})
    state = fold(
        state, [Sample("old/2026-11-22T10:00:00Z", 0, "pod", Counters(messages=5), is_final=True)], (), {"old"}
    )
    assert state.total.messages == 15


def test_impossible_count_stays_within_what_the_api_server_stores() -> None:
    huge = read_counters({"messages": 10**30}, LARGEST)
    assert huge.plus(huge).messages == LARGEST


def test_impossible_count_of_one_pod_leaves_room_for_all_others() -> None:
    """A total at its limit would hide what every other pod counts, for as long as the resource exists."""
    state = CounterState()
    for number in range(200):
        hostile = Sample(f"p{number}/1", number % 64, "pod", read_counters({"messages": 10**30}))
        state = fold(fold(state, [hostile], {hostile.uid}), [sample("good/1", number)], {"good"})
        state = read_counter_state(write_counter_state(state))
    before = state.total.messages
    assert before < LARGEST
    assert fold(state, [sample("good/1", 205)], {"good"}).total.messages == before + 6


def test_stored_count_of_an_epoch_that_is_impossible_is_corrected() -> None:
    state = CounterState({0: Counters(messages=3)}, (sample("a/1", LARGEST),))
    assert read_counter_state(write_counter_state(state)).total.messages == LARGEST_COUNT + 3


def test_removed_shard_keeps_its_counts() -> None:
    state = fold(fold(CounterState(), [sample("a/1", 5, shard=2)], set()), [], set())
    assert state.base == {2: Counters(messages=5)}


def test_counter_state_survives_writing_and_reading() -> None:
    state = CounterState({0: Counters(messages=3), 2: Counters(resyncs=1)}, (sample("a/1", 5), sample("b/1", 7)))
    assert read_counter_state(write_counter_state(state)) == state


def test_invalid_count_reads_as_zero() -> None:
    assert read_counters({"messages": -1, "records": "7", "resyncs": True, "droppedRecords": 2}) == Counters(
        dropped_records=2
    )


@given(st.lists(st.integers(0, 100), max_size=8))
def test_order_of_samples_changes_nothing(counts: list[int]) -> None:
    samples = [sample("a/1", count) for count in counts]
    assert fold(CounterState(), samples, {"a"}).total == fold(CounterState(), samples[::-1], {"a"}).total


def _pod(uid: str, shard: int = 0, words: tuple[str, ...] = (), is_finished: bool = False) -> Pod:
    return Pod(
        *(KEY, uid, uid, 1, shard, "", "", "", False, True, True, 0.0, 0, 0.0, 0.0, "", "", "", ""),
        configmaps=(),
        termination_messages=words,
        is_finished=is_finished,
    )


def _report(epoch: str, count: int) -> Report:
    return Report(epoch, 0, "Healthy", "", Counters(messages=count), (), Streams(), (), (), "", "", "")


class Fleet(RuleBasedStateMachine):
    """Pods that count, restart and vanish, and an operator that probes, writes, loses answers and restarts.

    `counted` holds the true count by epoch. `reported` holds the counts in the operator's memory, `kept` those in the
    last written status. The total must equal the sum of `kept`, to the last message.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counted: dict[str, int] = {}
        self.reported: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.pods: dict[str, tuple[int, int]] = {}
        self.finished: dict[str, tuple[int, int]] = {}
        self.clock = 0
        self.shards = 1
        self.born = 0
        self.cached = CounterState()
        self.last_total = Counters()
        self.collectors = Collectors()

    @rule(which=st.integers(0, 9))
    def a_pod_starts(self, which: int) -> None:
        if len(self.cached.epochs) + 2 * len(self.pods) > EPOCHS_LIMIT - 4:
            return  # more than the limit would wait in memory
        self.born += 1
        self.pods[f"p{self.born}"] = (which % self.shards, self._tick())

    @rule(shards=st.integers(1, 3))
    def the_resource_is_scaled(self, shards: int) -> None:
        """Removes the pods of surplus shards, with or without a termination message."""
        self.shards = shards
        for number, (uid, (shard, _)) in enumerate(list(self.pods.items())):
            if shard >= shards:
                self._vanish(uid, bool(number % 2))

    @rule(count=st.integers(1, 5), which=st.integers(0, 9))
    def a_pod_counts(self, count: int, which: int) -> None:
        if uid := self._some(which):
            self.counted[self._epoch(uid)] = self.counted.get(self._epoch(uid), 0) + count

    @rule(which=st.integers(0, 9))
    def the_operator_probes(self, which: int) -> None:
        if uid := self._some(which):
            self._probe(uid)

    @rule(which=st.integers(0, 9), is_reported=st.booleans())
    def a_container_restarts(self, which: int, is_reported: bool) -> None:
        if uid := self._some(which):
            if is_reported:
                self._send_termination_message(uid)
            self.pods[uid] = (self.pods[uid][0], self._tick())

    @rule(which=st.integers(0, 9), is_reported=st.booleans())
    def a_pod_vanishes(self, which: int, is_reported: bool) -> None:
        if uid := self._some(which):
            self._vanish(uid, is_reported)

    @rule(arrives=st.booleans())
    def the_status_is_written(self, arrives: bool) -> None:
        """Writes the status. The operator reads it before each write, so it learns whether the last write arrived."""
        self.collectors.drop_stored(KEY, self.cached, set(self.pods), set(self.finished))
        samples = self.collectors.samples(KEY, [_pod(uid, self.pods[uid][0]) for uid in self.pods])
        state = fold(self.cached, samples, set(self.pods), set(self.finished))
        if arrives:
            self.cached = read_counter_state(json.loads(json.dumps(write_counter_state(state))))
            self.kept = {
                epoch: max(self.kept.get(epoch, 0), count) for epoch, count in {**self.kept, **self.reported}.items()
            }

    @rule()
    def the_operator_restarts(self) -> None:
        """Loses the reports that are not written yet, with the memory of the process.

        The pods that have finished are read again.
        """
        self.collectors, self.reported = Collectors(), {}
        for uid in self.finished:
            self._finish(uid)

    @invariant()
    def totals_never_go_back(self) -> None:
        total = self.cached.total
        assert total == total.latest(self.last_total)
        self.last_total = total

    @invariant()
    def totals_count_every_report_once(self) -> None:
        assert self.cached.total.messages == sum(self.kept.values()) <= sum(self.counted.values())

    @invariant()
    def the_status_stays_small(self) -> None:
        assert len(self.cached.epochs) <= 2 * self.born
        assert {epoch.shard for epoch in self.cached.epochs} | set(self.cached.base) <= {0, 1, 2}

    @rule(which=st.integers(0, 9))
    def a_pod_fails(self, which: int) -> None:
        """The pod stays, as after an eviction. Pods are probed every few seconds, so all others are known by then."""
        for each in self.pods:
            self._probe(each)
        self.the_status_is_written(arrives=True)
        if uid := self._some(which):
            self.finished[uid] = self.pods.pop(uid)
            self._finish(uid)

    @rule()
    def the_finished_pods_are_deleted(self) -> None:
        for uid in self.finished:
            self._finish(uid)
        self.the_status_is_written(arrives=True)
        self.finished = {}

    def teardown(self) -> None:
        """Probe every pod once more and write: the total then holds every count that was reported."""
        for uid in self.pods:
            self._probe(uid)
        for _ in range(3):
            self.the_status_is_written(arrives=True)
        self.totals_count_every_report_once()
        assert all(self.kept.get(self._epoch(uid), 0) == self.counted.get(self._epoch(uid), 0) for uid in self.pods)

    def _some(self, which: int) -> str | None:
        return sorted(self.pods)[which % len(self.pods)] if self.pods else None

    def _epoch(self, uid: str) -> str:
        return f"{uid}/{(self.pods | self.finished)[uid][1]:04}"

    def _tick(self) -> int:
        self.clock += 1
        return self.clock

    def _report_count(self, uid: str) -> int:
        """Reports the count of a pod's current epoch to the operator."""
        epoch = self._epoch(uid)
        self.reported[epoch] = self.counted.get(epoch, 0)
        return self.reported[epoch]

    def _probe(self, uid: str) -> None:
        self.collectors.record_probe(_pod(uid, self.pods[uid][0]), _report(self._epoch(uid), self._report_count(uid)))

    def _finish(self, uid: str) -> None:
        """Sends the last status of a pod that has finished."""
        self._send_termination_message(uid)
        self.collectors.stopped(_pod(uid, self.finished[uid][0], is_finished=True))

    def _send_termination_message(self, uid: str) -> None:
        text = json.dumps({"contract": 1, "epoch": self._epoch(uid), "counters": {"messages": self._report_count(uid)}})
        shard = (self.pods | self.finished)[uid][0]
        self.collectors.record_termination(_pod(uid, shard, (text,), is_finished=uid in self.finished))

    def _vanish(self, uid: str, is_reported: bool) -> None:
        if is_reported:
            self._send_termination_message(uid)
        self.collectors.stopped(_pod(uid, self.pods[uid][0]))
        del self.pods[uid]


Fleet.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestFleet = Fleet.TestCase
