"""The totals of a resource over every order of restarts, lost answers and late news."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from market_operator.counters import Counters, Reading, Tally, fold, read_counters, read_tally, write_tally
from market_operator.names import Key
from market_operator.observations import Observations
from market_operator.pods import Pod
from market_operator.reports import Report

KEY = Key("md", "okx-btc")


def reading(epoch: str, messages: int, shard: int = 0) -> Reading:
    return Reading(epoch, shard, "pod", Counters(messages=messages))


def test_a_running_epoch_counts_with_its_latest_reading() -> None:
    tally = fold(fold(Tally(), [reading("a/1", 5)], {"a"}), [reading("a/1", 9)], {"a"})
    assert tally.total.messages == 9


def test_an_older_reading_takes_nothing_back() -> None:
    tally = fold(fold(Tally(), [reading("a/1", 9)], {"a"}), [reading("a/1", 5)], {"a"})
    assert tally.total.messages == 9


def test_a_restarted_container_counts_on_from_its_last_words() -> None:
    tally = fold(Tally(), [reading("a/1", 5)], {"a"})
    tally = fold(tally, [reading("a/1", 8), reading("a/2", 1)], {"a"})
    assert tally.total.messages == 9


def test_words_of_an_epoch_that_is_in_the_base_count_no_more() -> None:
    tally = Tally()
    for start in range(1, 5):
        tally = fold(tally, [reading(f"a/{start}", 10)], {"a"})
    assert fold(tally, [reading("a/1", 10)], {"a"}).total.messages == 40


def test_a_pod_that_is_gone_goes_into_the_base_in_two_steps() -> None:
    first = fold(fold(Tally(), [reading("a/1", 5)], {"a"}), [reading("a/1", 7)], set())
    second = fold(first, [], set())
    assert [epoch.epoch for epoch in first.epochs] == ["a/1"]
    assert second.epochs == ()
    assert (first.total, second.total) == (Counters(messages=7), Counters(messages=7))


def test_shards_that_are_gone_keep_what_they_counted() -> None:
    tally = fold(fold(Tally(), [reading("a/1", 5, shard=2)], set()), [], set())
    assert tally.base == {2: Counters(messages=5)}


def test_the_tally_survives_being_written_and_read() -> None:
    tally = Tally({0: Counters(messages=3), 2: Counters(resyncs=1)}, (reading("a/1", 5), reading("b/1", 7)))
    assert read_tally(write_tally(tally)) == tally


def test_what_is_no_count_counts_nothing() -> None:
    assert read_counters({"messages": -1, "records": "7", "resyncs": True, "droppedRecords": 2}) == Counters(
        dropped_records=2
    )


@given(st.lists(st.integers(0, 100), max_size=8))
def test_the_order_of_readings_means_nothing(counts: list[int]) -> None:
    readings = [reading("a/1", count) for count in counts]
    assert fold(Tally(), readings, {"a"}).total == fold(Tally(), readings[::-1], {"a"}).total


def _pod(uid: str, words: tuple[str, ...] = ()) -> Pod:
    return Pod(
        KEY, uid, uid, 1, 0, "", "", "", False, True, True, 0, 0.0, 0.0, "", "", "", "", configmaps=(), last_words=words
    )


def _report(epoch: str, count: int) -> Report:
    return Report(epoch, 0, "Healthy", "", Counters(messages=count), (), (), (), (), "", "", "")


class Fleet(RuleBasedStateMachine):
    """Pods that count, crash, restart and vanish, while an operator looks, writes, loses answers and is restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.truth = 0
        self.pods: dict[str, tuple[int, int]] = {}
        self.born = 0
        self.stored = Tally()
        self.told = 0
        self.observations = Observations()

    @rule()
    def a_pod_starts(self) -> None:
        self.born += 1
        self.pods[f"p{self.born}"] = (1, 0)

    @rule(count=st.integers(1, 5), which=st.integers(0, 9))
    def a_pod_counts(self, count: int, which: int) -> None:
        if uid := self._some(which):
            start, counted = self.pods[uid]
            self.pods[uid] = (start, counted + count)
            self.truth += count

    @rule(which=st.integers(0, 9))
    def the_operator_looks(self, which: int) -> None:
        if uid := self._some(which):
            self.observations.looked(_pod(uid), self._now(uid))

    @rule(which=st.integers(0, 9), heard=st.booleans())
    def a_container_restarts(self, which: int, heard: bool) -> None:
        if uid := self._some(which):
            if heard:
                self._last_words(uid)
            self.pods[uid] = (self.pods[uid][0] + 1, 0)

    @rule(which=st.integers(0, 9), heard=st.booleans())
    def a_pod_vanishes(self, which: int, heard: bool) -> None:
        if uid := self._some(which):
            if heard:
                self._last_words(uid)
            self.observations.stopped(_pod(uid))
            del self.pods[uid]

    @rule(arrives=st.booleans())
    def the_status_is_written(self, arrives: bool) -> None:
        self.observations.settle(KEY, self.stored, set(self.pods))
        heard = self.observations.readings(KEY, [_pod(uid) for uid in self.pods])
        tally = fold(self.stored, heard, set(self.pods))
        if arrives:
            self.stored = tally

    @rule()
    def the_operator_restarts(self) -> None:
        self.observations = Observations()

    @invariant()
    def totals_never_go_back_and_nothing_counts_twice(self) -> None:
        total = self.stored.total.messages
        assert self.told <= total <= self.truth
        self.told = total

    @invariant()
    def the_status_stays_small(self) -> None:
        assert len(self.stored.epochs) <= 2 * self.born

    def teardown(self) -> None:
        """When everything was heard and written, the total is the truth as far as it could be known."""
        for uid in self.pods:
            self.observations.looked(_pod(uid), self._now(uid))
        for _ in range(3):
            self.the_status_is_written(arrives=True)
        assert sum(counted for _, counted in self.pods.values()) <= self.stored.total.messages <= self.truth

    def _some(self, which: int) -> str | None:
        return sorted(self.pods)[which % len(self.pods)] if self.pods else None

    def _now(self, uid: str) -> Report:
        start, counted = self.pods[uid]
        return _report(f"{uid}/{start:04}", counted)

    def _last_words(self, uid: str) -> None:
        report = self._now(uid)
        text = f'{{"contract": 1, "epoch": "{report.epoch}", "counters": {{"messages": {report.counters.messages}}}}}'
        self.observations.heard(_pod(uid, (text,)))


Fleet.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestFleet = Fleet.TestCase
