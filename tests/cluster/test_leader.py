"""Leader election: operators share a Lease, one reconciles, another takes over, and two never write at once."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api_calls import Call
from api_proxy import ApiProxy, Hang

Start = Callable[..., Any]
Eventually = Callable[..., None]
# Shorter lease terms than the chart's, for tests in which only the order matters. On a busy machine a renewal took 2 s.
SHORT = ("--lease-terms", "6s/4s/200ms")


@dataclass(frozen=True)
class Member:
    """An operator and its proxy to the API server."""

    process: Any
    proxy: ApiProxy

    @property
    def leads(self) -> bool:
        return bool(self.process.metric("is_leader") == 1)

    @property
    def writes(self) -> list[Call]:
        """All writes except those of the Lease."""
        return [call for call in self.proxy.writes if call.kind != "leases"]

    @property
    def renewed(self) -> float:
        """Time of the last renewal that was sent."""
        return max(call.time for call in self.proxy.writes if call.kind == "leases")


Join = Callable[..., Member]


@pytest.fixture
def join(start: Start, namespace: str, kubeconfig: str, tmp_path: Path) -> Iterator[Join]:
    """Starts one more operator with the namespace's Lease and waits until it is ready."""
    with ExitStack() as stack:

        def start_member(*arguments: str) -> Member:
            proxy = stack.enter_context(ApiProxy.to(Path(kubeconfig)))
            file = proxy.write_kubeconfig(tmp_path / f"kubeconfig-{proxy.url.rpartition(':')[2]}")
            lease = ("--lease", f"{namespace}/operator")
            process = start(*lease, *arguments, environment={"KUBECONFIG": str(file)})
            stack.callback(end, process)
            return Member(process, proxy)

        yield start_member


def end(process: Any) -> None:
    """Kill the operator before its proxy ends."""
    if process.process.poll() is None:
        process.stop(signal.SIGKILL)


@pytest.fixture
def lead(join: Join, eventually: Eventually) -> Callable[..., tuple[Member, Member]]:
    """Starts a leader and a standby."""

    def start_member(*arguments: str) -> tuple[Member, Member]:
        leader = join(*arguments)
        wait_leading(leader, eventually)
        return leader, join(*arguments)

    return start_member


def wait_leading(member: Member, eventually: Eventually, seconds: float = 60.0) -> None:
    def leads() -> None:
        assert member.leads

    eventually(leads, seconds)


def lease(place: Any) -> Any:
    path = f"apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases/operator"
    return place.api.call("GET", path)["spec"]


def built(place: Any, name: str = "okx-btc", seconds: float = 60.0) -> None:
    place.expect("WorkloadReady", "False", "Unschedulable", name, seconds)


def test_standby_is_ready_and_writes_nothing(place: Any, lead: Any, eventually: Eventually) -> None:
    leader, standby = lead()
    place.create()
    built(place)
    assert standby.process.get("/readyz") == (200, "ok\n")
    assert leader.leads
    assert not standby.leads
    assert standby.proxy.writes == []
    eventually(lambda: renewed(place))
    assert (lease(place)["leaseDurationSeconds"], lease(place)["leaseTransitions"]) == (15, 0)


def renewed(place: Any) -> None:
    assert lease(place)["acquireTime"] < lease(place)["renewTime"]


def test_standby_reconciles_within_20_s_when_the_leader_is_killed(place: Any, lead: Any) -> None:
    leader, standby = lead()
    leader.process.stop(signal.SIGKILL)
    place.create()
    built(place, seconds=20)
    assert standby.leads
    assert lease(place)["leaseTransitions"] == 1


@pytest.mark.parametrize("cut", ["resets every connection", "answers nothing"])
def test_leader_ends_before_its_lease_when_it_is_cut_off(cut: str, place: Any, lead: Any) -> None:
    leader, standby = lead()
    if cut == "resets every connection":
        leader.proxy.cut_off()
    else:
        leader.proxy.on(lambda call: True, Hang())
    place.create()
    assert leader.process.process.wait(timeout=30) == 1
    ended, write_times = time.monotonic(), [call.time for call in standby.writes]
    answered = lease(place)["renewTime"]
    assert "operator was not renewed for" in leader.process.log.read_text()
    assert "Traceback" not in leader.process.log.read_text()
    assert write_times == [], "the standby waits until the lease has expired"
    assert answered == lease(place)["renewTime"]
    assert ended - first_unanswered(leader) < 15
    built(place)
    assert standby.leads


def first_unanswered(member: Member) -> float:
    """Time of the last renewal but one, because the last one may have failed."""
    renewals = [call.time for call in member.proxy.writes if call.kind == "leases"]
    return renewals[-2] if len(renewals) > 1 else renewals[-1]


def test_leader_writes_nothing_after_a_pause_longer_than_its_lease(
    place: Any, lead: Any, eventually: Eventually
) -> None:
    old, new = lead(*SHORT)
    for number in range(5):
        place.create(f"r-{number}")
    for number in range(5):
        built(place, f"r-{number}")
    for number in range(20):
        place.create(f"midst-{number}")
    old.process.process.send_signal(signal.SIGSTOP)  # during these
    for number in range(5):
        place.change(f"r-{number}", dataTypes=["trade"])
    place.create("later")
    wait_leading(new, eventually)
    for name in ("later", *(f"midst-{number}" for number in range(20))):
        built(place, name)
    eventually(lambda: all_observed(place, 5))
    written = len(old.proxy.writes)
    old.process.process.send_signal(signal.SIGCONT)
    assert old.process.process.wait(timeout=20) == 1
    assert [str(call) for call in old.proxy.writes[written:]] == [], "every write goes through the proxy"
    log = old.process.log.read_text()
    assert "operator was not renewed for" in log
    assert "Traceback" not in log


def all_observed(place: Any, count: int) -> None:
    """Asserts that all changes are applied and reported in the status."""
    for number in range(count):
        found = place.api.get("mcol", place.namespace, f"r-{number}")
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 2


def test_leader_releases_the_lease_when_it_is_stopped(place: Any, lead: Any, eventually: Eventually) -> None:
    leader, standby = lead()
    assert leader.process.stop() == 0
    assert lease(place)["renewTime"], "released, or already acquired"
    wait_leading(standby, eventually, seconds=8)
    place.create()
    built(place)
    assert lease(place)["leaseTransitions"] == 1
    assert "released" in leader.process.log.read_text()


def test_takeover_reconciles_everything_and_writes_nothing(
    place: Any, kubelet: Any, lead: Any, eventually: Eventually
) -> None:
    leader, standby = lead()
    for number in range(3):
        place.create(f"r-{number}")
    kubelet.run_all(3)
    for number in range(3):
        place.expect("Ready", "True", "Ready", f"r-{number}")
    time.sleep(2)  # counters are written last
    before = place.versions()
    leader.process.stop()
    wait_leading(standby, eventually)

    def all_probed() -> None:
        assert standby.process.metric("reconcile_total") >= 3
        assert standby.process.metric("health_looks_total") >= 6

    eventually(all_probed)
    assert [str(call) for call in standby.writes] == []
    assert place.versions() == before


def test_counts_of_a_gone_pod_are_added_once_after_a_takeover(
    place: Any, kubelet: Any, lead: Any, eventually: Eventually
) -> None:
    leader, standby = lead()
    place.create()
    [pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    eventually(lambda: counted(place, 100))
    place.api.delete("pods", place.namespace, pod.name)
    eventually(lambda: kubelet.run_all(1))
    place.expect("Ready", "True", "Ready")
    eventually(lambda: counted(place, 200))
    time.sleep(2)  # the leader moves the counts of the gone pod into the base
    leader.process.stop()
    wait_leading(standby, eventually)
    place.create("later")
    built(place, "later")
    time.sleep(2)
    counted(place, 200)


def counted(place: Any, messages: int) -> None:
    assert place.status()["messages"] == messages


def test_three_instances_lead_one_after_another(place: Any, join: Join, eventually: Eventually) -> None:
    members = [join(*SHORT) for _ in range(3)]
    for _ in range(2):
        eventually(lambda: leader_of(members))
        gone = leader_of(members)
        gone.process.stop(signal.SIGKILL)
        members.remove(gone)
    eventually(lambda: leader_of(members))
    place.create()
    built(place)


def leader_of(members: list[Member]) -> Member:
    [leader] = [member for member in members if member.leads]
    return leader
