"""The Lease's calls in order, against a small API server: won, renewed, lost, given back."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.cluster.client import Cluster
from market_operator.cluster.election import Election, clock, identity
from market_operator.cluster.lease import Candidate, Terms
from market_operator.errors import ApiError, LeadershipError
from market_operator.resource.naming import Key

KEY = Key("home", "operator")
# So short that no test waits; the retry is a turn of the loop or two.
TERMS = Terms(duration=15, deadline=10, retry=0.001)


class Leases:
    """One Lease with versions, as the API server has it; while `refusal` is set it answers with that."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.refusal: ApiError | None = None
        self.version = 0
        self.timeouts: list[float] = []

    async def read_lease(self, key: Key, timeout: float) -> dict[str, Any] | None:
        self._answer(timeout)
        return self.lease

    async def write_lease(self, lease: dict[str, Any], timeout: float) -> dict[str, Any]:
        self._answer(timeout)
        known = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if lease["metadata"].get("resourceVersion") != known:
            raise ApiError(409, "Conflict", "somebody else wrote first")
        return self.store(lease)

    def store(self, lease: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    def _answer(self, timeout: float) -> None:
        self.timeouts.append(timeout)
        if self.refusal:
            raise self.refusal

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease
        found: dict[str, Any] = self.lease["spec"]
        return found


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def time_() -> Clock:
    return Clock()


Enter = Callable[..., Election]


@pytest.fixture
def enter(leases: Any, time_: Clock) -> Enter:
    """One more candidate for the Lease."""
    return lambda name="me": Election(leases, KEY, Candidate(name, KEY._asdict(), TERMS), time_)


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not claim():
            await asyncio.sleep(0)


async def test_who_comes_first_leads_and_renews(leases: Leases, enter: Enter, time_: Clock) -> None:
    me = enter()
    await me.win()
    assert leases.spec["holderIdentity"] == "me"
    first, holding = leases.version, asyncio.create_task(me.hold())
    time_.now += 9
    await until(lambda: leases.version > first)
    assert me.fence() == 15
    holding.cancel()


async def test_who_comes_second_waits_until_the_lease_has_run_out(leases: Leases, enter: Enter, time_: Clock) -> None:
    await enter("other").win()
    waiting = asyncio.create_task((me := enter()).win())
    await until(lambda: len(leases.timeouts) > 6)
    time_.now += 14.9
    asked = len(leases.timeouts)
    await until(lambda: len(leases.timeouts) > asked + 2)
    with pytest.raises(LeadershipError):
        me.fence()
    time_.now += 0.2
    await waiting
    assert (leases.spec["holderIdentity"], leases.spec["leaseTransitions"]) == ("me", 1)


async def test_what_is_given_back_is_taken_at_once(leases: Leases, enter: Enter) -> None:
    other = enter("other")
    await other.win()
    await other.resign()
    assert leases.spec["holderIdentity"] == ""
    with pytest.raises(LeadershipError):
        other.fence()
    await enter().win()
    assert leases.spec["holderIdentity"] == "me"


async def test_a_leader_without_answers_ends_at_the_deadline_and_no_call_goes_beyond_it(
    leases: Leases, enter: Enter, time_: Clock
) -> None:
    me = enter()
    await me.win()
    leases.refusal = ApiError(0, "TimeoutError", "no answer")
    holding = asyncio.create_task(me.hold())
    time_.now += 7
    asked = len(leases.timeouts)
    await until(lambda: len(leases.timeouts) > asked + 1)
    assert leases.timeouts[-1] == pytest.approx(3)
    assert not holding.done()
    time_.now += 3
    with pytest.raises(LeadershipError, match=r"home/operator was not renewed for 10\.0 s"):
        await holding
    assert max(leases.timeouts) <= TERMS.deadline / 2


async def test_a_leader_that_finds_another_holder_ends(leases: Leases, enter: Enter) -> None:
    me = enter()
    await me.win()
    assert leases.lease
    leases.store({**leases.lease, "spec": {**leases.spec, "holderIdentity": "other"}})
    with pytest.raises(LeadershipError, match="was taken by other"):
        await me.hold()
    assert leases.spec["holderIdentity"] == "other"


async def test_who_has_lost_gives_nothing_back(leases: Leases, enter: Enter, time_: Clock) -> None:
    me = enter()
    await me.win()
    version = leases.version
    time_.now += 60
    await me.resign()
    assert leases.version == version


async def test_a_server_that_is_gone_does_not_keep_anyone_from_ending(leases: Leases, enter: Enter) -> None:
    me = enter()
    await me.win()
    leases.refusal = ApiError(503, "ServiceUnavailable", "not now")
    await me.resign()


async def test_the_same_news_is_told_once(leases: Leases, enter: Enter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    leases.refusal = ApiError(403, "Forbidden", "no right on leases")
    waiting = asyncio.create_task(enter().win())
    await until(lambda: len(leases.timeouts) > 5)
    waiting.cancel()
    assert len([record for record in caplog.records if "no right on leases" in record.getMessage()]) == 1


async def test_no_write_is_sent_behind_the_fence() -> None:
    """Nothing listens there: a write that is sent would fail in another way."""
    from kubernetes.aio.client.configuration import Configuration

    cluster = Cluster(Configuration(host="http://127.0.0.1:1"), None)

    def fence() -> float:
        raise LeadershipError("not ours")

    cluster.fence = fence
    beside = cluster.with_own_connections()
    for write in (
        cluster.create_event({"metadata": {"namespace": "a"}}),
        cluster.write_lease({"metadata": KEY._asdict()}, 1),
    ):
        with pytest.raises(LeadershipError):
            await write
    with pytest.raises(ApiError):
        await cluster.read(Key("a", "b"))
    with pytest.raises(ApiError):
        await beside.write_lease({"metadata": KEY._asdict()}, 1)
    await beside.close()
    await cluster.close()


def test_every_process_has_a_name_of_its_own_and_the_clock_goes_on() -> None:
    assert identity() != identity()
    assert clock() <= clock()
