"""The rules of the Lease, and two candidates at a server whose answers are late or lost."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_operator.cluster.lease import Candidate, Terms
from market_operator.errors import LeadershipError

TERMS = Terms(duration=15, deadline=10, retry=2)
NAME = {"namespace": "home", "name": "operator"}


def candidate(identity: str = "me") -> Candidate:
    return Candidate(identity, dict(NAME), TERMS)


def lease(holder: str = "other", version: str = "1", **spec: Any) -> dict[str, Any]:
    fields = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "r", "acquireTime": "a"}
    return {"metadata": {**NAME, "resourceVersion": version}, "spec": {**fields, "leaseTransitions": 3, **spec}}


def leading(sent: float = 0.0) -> Candidate:
    found = candidate()
    found.saw(None, 0.0)
    claim = found.claim(sent, "t0")
    assert claim
    found.claimed({**claim, "metadata": {**NAME, "resourceVersion": "1"}}, sent, sent)
    return found


def test_missing_lease_is_created() -> None:
    me = candidate()
    me.saw(None, 0.0)
    claim = me.claim(0.0, "t0")
    assert claim
    assert claim["metadata"] == NAME, "no version: it must not exist"
    assert claim["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "t0",
        "renewTime": "t0",
        "leaseTransitions": 0,
    }


@pytest.mark.parametrize(
    ("holder", "age", "is_free"),
    [("other", 0.0, False), ("other", 14.9, False), ("other", 15.0, True), ("", 0.0, True), ("me", 0.0, True)],
)
def test_lease_is_free_without_a_holder_or_after_its_duration(holder: str, age: float, is_free: bool) -> None:
    me = candidate()
    me.saw(lease(holder), 100.0)
    assert (me.claim(100.0 + age, "now") is not None) == is_free


def test_expiry_uses_the_duration_in_the_lease() -> None:
    me = candidate()
    me.saw(lease(leaseDurationSeconds=60), 0.0)
    assert me.claim(59.9, "now") is None
    assert me.claim(60.0, "now")


def test_expiry_counts_from_the_last_observed_change() -> None:
    me = candidate()
    me.saw(lease(renewTime="1970-01-01T00:00:00.000000Z"), 0.0)
    assert me.claim(1.0, "now") is None, "another's clock may be decades off"
    me.saw(lease(renewTime="1970-01-01T00:00:02.000000Z", version="2"), 14.0)
    assert me.claim(15.0, "now") is None
    me.saw(lease(renewTime="1970-01-01T00:00:02.000000Z", version="3"), 20.0)
    assert me.claim(29.0, "now"), "somebody's annotation is no renewal"


def test_takeover_counts_a_transition_and_names_the_version_read() -> None:
    me = candidate()
    me.saw(lease(version="9"), 0.0)
    claim = me.claim(15.0, "now")
    assert claim
    assert claim["metadata"]["resourceVersion"] == "9"
    spec = claim["spec"]
    assert (spec["leaseTransitions"], spec["acquireTime"], spec["renewTime"]) == (4, "now", "now")


def test_renewal_keeps_acquire_time_and_transitions() -> None:
    me = leading()
    claim = me.claim(2.0, "t2")
    assert claim
    spec = claim["spec"]
    assert (spec["leaseTransitions"], spec["acquireTime"], spec["renewTime"]) == (0, "t0", "t2")
    assert claim["metadata"]["resourceVersion"] == "1"
    assert not me.must_look, "the answer to the last claim is the newest there is"


def test_claim_is_no_second_transition_when_its_answer_was_lost() -> None:
    me = candidate()
    me.saw(lease("me", acquireTime="then"), 0.0)
    claim = me.claim(1.0, "now")
    assert claim
    assert (claim["spec"]["leaseTransitions"], claim["spec"]["acquireTime"]) == (3, "then")


def test_standby_may_write_nothing() -> None:
    with pytest.raises(LeadershipError, match="does not lead"):
        candidate().time_left(0.0)


def test_time_left_counts_from_the_sending_of_the_renewal() -> None:
    me = leading(sent=100.0)
    assert me.time_left(100.0) == 15.0
    assert me.time_left(109.9) == pytest.approx(5.1), "a write that starts late ends before the lease"
    with pytest.raises(LeadershipError, match=r"was not renewed for 10\.0 s"):
        me.time_left(110.0)


def test_leader_ends_when_another_holder_is_seen() -> None:
    me = leading()
    with pytest.raises(LeadershipError, match="lease home/operator was taken by other"):
        me.saw(lease("other", "5"), 3.0)


def test_leader_claims_the_lease_again_when_deleted_or_emptied() -> None:
    for found in (None, lease("", "5")):
        me = leading()
        me.saw(found, 3.0)
        claim = me.claim(3.0, "t3")
        assert claim
        assert claim["spec"]["holderIdentity"] == "me"
        assert claim["metadata"].get("resourceVersion") == (found and "5")


def test_deleted_lease_of_another_holder_still_has_to_expire() -> None:
    me = candidate()
    me.saw(lease(), 0.0)
    me.saw(None, 5.0)
    assert me.claim(14.0, "now") is None, "who holds it may not know yet that it is gone"
    claim = me.claim(15.0, "now")
    assert claim
    assert "resourceVersion" not in claim["metadata"]


def test_release_clears_the_holder_and_ends_leadership() -> None:
    me = leading()
    spec = me.release("t5")["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["renewTime"]) == ("", 1, "t5")
    with pytest.raises(LeadershipError):
        me.time_left(1.0)
    assert me.must_look


# Two candidates and a server, times in seconds. A call may take effect late or never, and its answer may be late or lost.
# A process may pause for long between any two steps.
PAUSES = st.one_of(st.floats(0, 3), st.floats(0, 40))


@dataclass
class Server:
    """One Lease, versioned like in the API server."""

    lease: dict[str, Any] | None = None
    version: int = 0

    def write(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        known = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if lease["metadata"].get("resourceVersion") != known:
            return None
        self.version += 1
        self.lease = {**lease, "metadata": {**NAME, "resourceVersion": str(self.version)}}
        return self.lease


@dataclass
class Process:
    """A candidate and its steps, each at a time of its own; `leads` holds the spans in which it may write."""

    candidate: Candidate
    pauses: list[float]
    lost: list[bool]
    leads: list[tuple[float, float]] = field(default_factory=list)
    is_over: bool = False

    def run(self, server: Server) -> Any:
        """Yields the seconds until the next step, and receives the time of that step."""
        me, now = self.candidate, 0.0
        for number, pause in enumerate(self.pauses):
            try:
                now = yield pause
                is_lost = self.lost[number % len(self.lost)]
                if me.must_look:
                    found = server.lease
                    now = yield pause / 2  # the answer travels
                    if is_lost:
                        continue
                    me.saw(found, now)
                sent = now
                claim = me.claim(sent, f"{me.identity} {sent}")
                if claim is None:
                    continue
                now = yield pause / 2  # the request travels
                answer = server.write(claim)
                now = yield pause / 2  # so does the answer
                if answer is None or is_lost:
                    me.must_look = True
                else:
                    me.claimed(answer, sent, now)
                self.leads.append((now, now + me.time_left(now)))
            except LeadershipError:
                if me.is_leader:
                    break
        self.is_over = True


def simulate(server: Server, processes: list[Process]) -> None:
    runs = [process.run(server) for process in processes]
    due = [next(run) for run in runs]
    while any(time is not None for time in due):
        index = min((i for i, time in enumerate(due) if time is not None), key=lambda i: due[i])
        now = due[index]
        try:
            due[index] = now + runs[index].send(now)
        except StopIteration:
            due[index] = None


@settings(max_examples=500, deadline=None)
@given(
    pauses=st.tuples(st.lists(PAUSES, min_size=1, max_size=30), st.lists(PAUSES, min_size=1, max_size=30)),
    lost=st.tuples(
        st.lists(st.booleans(), min_size=1, max_size=5),
        st.lists(st.booleans(), min_size=1, max_size=5),
    ),
)
def test_two_candidates_never_may_write_at_the_same_time(
    pauses: tuple[list[float], list[float]], lost: tuple[list[bool], list[bool]]
) -> None:
    server = Server()
    one, two = (Process(candidate(name), p, d) for name, p, d in zip(("one", "two"), pauses, lost, strict=True))
    simulate(server, [one, two])
    for start, end in one.leads:
        for other_start, other_end in two.leads:
            assert end <= other_start or other_end <= start, (one.leads, two.leads)


def test_simulated_election_has_a_leader_and_a_takeover() -> None:
    """Guard the property above against holding only because nobody leads."""
    one = Process(candidate("one"), [2.0, 2.0], [False])
    two = Process(candidate("two"), [3.0] * 12, [False])
    simulate(Server(), [one, two])
    assert one.leads
    assert two.leads
    assert one.leads[-1][1] <= two.leads[0][0]
