"""Leader election against a small API server: acquire, renew, lose and release the Lease."""

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
# Short, so that no test waits. A retry takes one or two iterations of the event loop.
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
    """A clock that a test sets."""

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


async def test_first_candidate_leads_and_renews(leases: Leases, enter: Enter, time_: Clock) -> None:
    me = enter()
    await me.win()
    assert leases.spec["holderIdentity"] == "me"
    first, holding = leases.version, asyncio.create_task(me.hold())
    time_.now += 9
    await until(lambda: leases.version > first)
    assert me.fence() == 15
    holding.cancel()


async def test_second_candidate_waits_until_the_lease_expires(leases: Leases, enter: Enter, time_: Clock) -> None:
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


async def test_released_lease_is_acquired_at_once(leases: Leases, enter: Enter) -> None:
    other = enter("other")
    await other.win()
    await other.resign()
    assert leases.spec["holderIdentity"] == ""
    with pytest.raises(LeadershipError):
        other.fence()
    await enter().win()
    assert leases.spec["holderIdentity"] == "me"


async def test_leader_ends_at_the_deadline_when_no_call_is_answered(leases: Leases, enter: Enter, time_: Clock) -> None:
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


async def test_leader_ends_when_the_lease_has_another_holder(leases: Leases, enter: Enter) -> None:
    me = enter()
    await me.win()
    assert leases.lease
    leases.store({**leases.lease, "spec": {**leases.spec, "holderIdentity": "other"}})
    with pytest.raises(LeadershipError, match="was taken by other"):
        await me.hold()
    assert leases.spec["holderIdentity"] == "other"


async def test_former_leader_releases_nothing(leases: Leases, enter: Enter, time_: Clock) -> None:
    me = enter()
    await me.win()
    version = leases.version
    time_.now += 60
    await me.resign()
    assert leases.version == version


async def test_resign_returns_when_the_server_is_unavailable(leases: Leases, enter: Enter) -> None:
    me = enter()
    await me.win()
    leases.refusal = ApiError(503, "ServiceUnavailable", "not now")
    await me.resign()


async def test_repeated_refusal_is_logged_once(leases: Leases, enter: Enter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    leases.refusal = ApiError(403, "Forbidden", "no right on leases")
    waiting = asyncio.create_task(enter().win())
    await until(lambda: len(leases.timeouts) > 5)
    waiting.cancel()
    assert len([record for record in caplog.records if "no right on leases" in record.getMessage()]) == 1


async def test_fenced_client_sends_no_write() -> None:
    """Nothing listens at the address, so a write that was sent would raise another error."""
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


def test_identity_is_unique_and_clock_is_monotonic() -> None:
    assert identity() != identity()
    assert clock() <= clock()
