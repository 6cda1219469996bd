"""Each condition as a table: what is seen, and what is said about it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from market_operator.conditions import conditions, health
from market_operator.desired import Wanted, desired
from market_operator.errors import ApiError
from market_operator.observations import Look
from market_operator.picture import BELIEVED_FOR, Failure, Picture
from market_operator.pods import Pod
from market_operator.reasons import Reason, Verdict
from market_operator.reports import Report
from market_operator.resource import Resource

NOW = 1_000.0
Make = Callable[..., Any]


class Scene:
    """Builds pictures of one resource."""

    def __init__(self, resource: Make, pod: Make, report: Make) -> None:
        self._resource, self._pod, self._report = resource, pod, report
        self.wanted = self.want()

    def want(self, **spec: Any) -> Wanted:
        self.wanted = desired(self._resource(**spec), "image")
        return self.wanted

    def pod(self, uid: str = "pod-1", shard: int = 0, template: str | None = None, **fields: Any) -> Pod:
        made: Pod = self._pod(uid=uid, shard=shard, template=template or self.wanted.templates[shard], **fields)
        return made

    def report(self, uid: str = "pod-1", **fields: Any) -> Report:
        made: Report = self._report(uid=uid, **fields)
        return made

    def picture(self, *pods: Pod, looks: dict[str, Look] | None = None, **fields: Any) -> Picture:
        """All pods report well, unless told otherwise."""
        if looks is None:
            looks = {pod.uid: Look(self.report(pod.uid)) for pod in pods if pod.is_running}
        base = Picture(self.wanted, "", {}, pods, looks, (), {}, NOW)
        return replace(base, **fields)

    def streams(self, *states: str, reason: str = "") -> dict[str, Look]:
        names = ("trade", "orderbook", "ticker")
        listed = [
            {"stream": f"BTC-USDT/{name}", "state": state, "reason": reason, "since": "2026-11-22T10:00:00Z"}
            for name, state in zip(names, states, strict=True)
        ]
        return {"pod-1": Look(self.report(streams=listed))}


@pytest.fixture
def scene(resource: Callable[..., Resource], pod: Make, report: Make) -> Scene:
    return Scene(resource, pod, report)


def deployment(*conditions: dict[str, str], generation: int = 1, observed: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "status": {"observedGeneration": observed, "conditions": [*conditions]},
    }


def said(picture: Picture, kind: str) -> tuple[str, str]:
    verdict = conditions(picture)[kind]
    assert verdict.message
    return verdict.status, verdict.reason


ALWAYS = ["Ready", "Accepted", "WorkloadReady", "Streaming", "Complete", "SinksHealthy"]


def test_all_well(scene: Scene) -> None:
    found = conditions(scene.picture(scene.pod()))
    assert list(found) == ALWAYS
    assert {kind: verdict.status for kind, verdict in found.items()} == dict.fromkeys(ALWAYS, "True")
    assert health(found) == "Healthy"
    assert found["Ready"].message == "3 of 3 streams deliver"


def test_a_new_resource_is_not_ready_and_work_is_under_way(scene: Scene) -> None:
    found = conditions(scene.picture())
    assert (found["Ready"].status, found["Ready"].reason) == ("False", Reason.PODS_NOT_READY)
    assert found["Reconciling"].status == "True"
    assert "Stalled" not in found
    assert found["Accepted"].status == "Unknown"


def test_an_invalid_spec_needs_a_person(scene: Scene) -> None:
    found = conditions(Picture(None, "spec.staleAfter: too long", {}, (), {}, (), {}, NOW))
    assert (found["Accepted"].status, found["Accepted"].reason) == ("False", Reason.INVALID_SPEC)
    assert found["Ready"].message == "spec.staleAfter: too long"
    assert found["Stalled"].reason == Reason.INVALID_SPEC
    assert health(found) == "Unhealthy"


class TestAccepted:
    @pytest.mark.parametrize(
        ("states", "reason", "expected"),
        [
            (("live", "live", "live"), "", ("True", Reason.ACCEPTED)),
            (("quiet", "stale", "live"), "", ("True", Reason.ACCEPTED)),
            (("live", "pending", "live"), "", ("Unknown", Reason.PENDING)),
            (("refused", "refused", "refused"), "SymbolNotFound", ("False", Reason.SYMBOL_NOT_FOUND)),
            (("live", "refused", "live"), "60012 bad", ("False", Reason.SUBSCRIPTION_REFUSED)),
        ],
    )
    def test_by_the_exchanges_answers(
        self, scene: Scene, states: tuple[str, ...], reason: str, expected: tuple[str, str]
    ) -> None:
        assert said(scene.picture(scene.pod(), looks=scene.streams(*states, reason=reason)), "Accepted") == expected

    def test_the_unknown_symbol_is_named_and_a_person_must_act(self, scene: Scene) -> None:
        looks = scene.streams("refused", "refused", "refused", reason="SymbolNotFound")
        found = conditions(scene.picture(scene.pod(), looks=looks))
        assert found["Accepted"].message == "The exchange does not know BTC-USDT; correct or remove it"
        assert found["Ready"].reason == Reason.SYMBOL_NOT_FOUND
        assert found["Stalled"].reason == Reason.SYMBOL_NOT_FOUND

    def test_a_pod_restart_does_not_forget_it(self, scene: Scene) -> None:
        before = {"Accepted": Verdict("True", Reason.ACCEPTED, "yes")}
        looks = scene.streams("pending", "pending", "pending")
        assert said(scene.picture(scene.pod(), looks=looks, before=before), "Accepted")[0] == "True"
        assert said(scene.picture(before=before), "Accepted")[0] == "True"

    def test_a_refusal_stands_until_the_exchange_answers_otherwise(self, scene: Scene) -> None:
        before = {"Accepted": Verdict("False", Reason.SYMBOL_NOT_FOUND, "no")}
        assert said(scene.picture(before=before), "Accepted") == ("False", Reason.SYMBOL_NOT_FOUND)
        assert said(scene.picture(scene.pod(), before=before), "Accepted")[0] == "True"


class TestWorkloadReady:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, ("True", Reason.ALL_RUNNING)),
            ({"ready": False}, ("True", Reason.ALL_RUNNING)),
            ({"state": {"waiting": {"reason": "ContainerCreating"}}}, ("False", Reason.PODS_NOT_READY)),
            ({"state": {"waiting": {"reason": "ErrImagePull"}}}, ("False", Reason.IMAGE_PULL_FAILED)),
            ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}, ("False", Reason.CRASH_LOOPING)),
            ({"state": {"terminated": {"exitCode": 1}}, "restarts": 3}, ("False", Reason.CRASH_LOOPING)),
            ({"state": {"terminated": {"exitCode": 1}}}, ("False", Reason.PODS_NOT_READY)),
            ({"state": {"waiting": {"reason": "CreateContainerConfigError"}}}, ("False", Reason.PODS_REFUSED)),
            (
                {
                    "state": {},
                    "conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}],
                },
                ("False", Reason.UNSCHEDULABLE),
            ),
        ],
    )
    def test_by_the_pod(self, scene: Scene, fields: dict[str, Any], expected: tuple[str, str]) -> None:
        assert said(scene.picture(scene.pod(**fields)), "WorkloadReady") == expected

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}, Reason.QUOTA_EXCEEDED),
            ({"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}, Reason.PODS_REFUSED),
            (
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
                Reason.DEADLINE_EXCEEDED,
            ),
        ],
    )
    def test_by_the_deployment(self, scene: Scene, condition: dict[str, str], expected: str) -> None:
        picture = scene.picture(deployments={0: deployment(condition)})
        assert said(picture, "WorkloadReady") == ("False", expected)
        assert conditions(picture)["Stalled"].reason == expected

    def test_a_deadline_that_passed_while_the_exchange_was_gone_is_no_blame(self, scene: Scene) -> None:
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        picture = scene.picture(scene.pod(ready=False), deployments={0: deployment(late)})
        assert said(picture, "WorkloadReady")[0] == "True"

    def test_a_crash_is_told_with_its_reason_and_last_words(self, scene: Scene) -> None:
        last = {"terminated": {"reason": "Error", "exitCode": 2, "message": "x\nconfig: bad symbol\n"}}
        pod = scene.pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, last_state=last, restarts=4)
        message = conditions(scene.picture(pod))["WorkloadReady"].message
        assert "ended 4 times: Error, exit code 2; it said: config: bad symbol" in message

    def test_a_write_that_failed_is_told(self, scene: Scene) -> None:
        failure = Failure("Deployment okx-btc-0", ApiError(403, "Forbidden", "you may not"))
        found = conditions(scene.picture(scene.pod(), failures=(failure,)))
        assert found["WorkloadReady"].reason == Reason.APPLY_FAILED
        assert "Deployment okx-btc-0: 403 Forbidden: you may not" in found["WorkloadReady"].message
        assert found["Ready"].status == "False"

    def test_one_replica_of_two_is_missing(self, scene: Scene) -> None:
        scene.want(replicas=2)
        found = conditions(scene.picture(scene.pod()))
        assert found["WorkloadReady"].reason == Reason.PODS_NOT_READY
        assert found["Ready"].status == "True"
        assert health(found) == "Degraded"

    def test_the_worst_shard_speaks(self, scene: Scene) -> None:
        scene.want(symbols=["A-B", "C-D"], shards=2)
        broken = scene.pod("pod-2", 1, state={"waiting": {"reason": "ErrImagePull"}})
        assert said(scene.picture(broken), "WorkloadReady") == ("False", Reason.IMAGE_PULL_FAILED)


class TestRollOut:
    def test_while_the_old_pod_streams_the_resource_is_ready(self, scene: Scene) -> None:
        old, new = scene.pod("old", template="before"), scene.pod("new", ready=False)
        looks = {"old": Look(scene.report("old")), "new": Look(scene.report("new", streams=[]))}
        found = conditions(scene.picture(old, new, looks=looks))
        assert (found["WorkloadReady"].status, found["WorkloadReady"].reason) == ("False", Reason.ROLLING_OUT)
        assert found["Ready"].status == "True"
        assert found["Reconciling"].status == "True"

    def test_a_new_version_that_crashes_is_not_ready_though_the_old_one_streams(self, scene: Scene) -> None:
        old = scene.pod("old", template="before")
        new = scene.pod("new", state={"waiting": {"reason": "CrashLoopBackOff"}})
        found = conditions(scene.picture(old, new))
        assert (found["Ready"].status, found["Ready"].reason) == ("False", Reason.CRASH_LOOPING)
        assert found["Stalled"].status == "True"

    def test_a_pod_that_is_going_is_no_longer_looked_at(self, scene: Scene) -> None:
        old = scene.pod("old", template="before", deletionTimestamp="now")
        assert said(scene.picture(old, scene.pod()), "WorkloadReady")[0] == "True"


class TestStreaming:
    @pytest.mark.parametrize(
        ("states", "expected"),
        [
            (("live", "live", "live"), ("True", Reason.ALL_LIVE)),
            (("live", "quiet", "quiet"), ("True", Reason.ALL_LIVE)),
            (("live", "stale", "live"), ("False", Reason.STREAMS_STALE)),
            (("live", "pending", "live"), ("False", Reason.STREAMS_PENDING)),
            (("live", "refused", "live"), ("False", Reason.STREAMS_REFUSED)),
            (("refused", "stale", "pending"), ("False", Reason.STREAMS_STALE)),
        ],
    )
    def test_by_the_streams(self, scene: Scene, states: tuple[str, ...], expected: tuple[str, str]) -> None:
        assert said(scene.picture(scene.pod(), looks=scene.streams(*states)), "Streaming") == expected

    def test_the_stale_stream_is_named(self, scene: Scene) -> None:
        found = conditions(scene.picture(scene.pod(), looks=scene.streams("live", "stale", "live")))
        assert found["Streaming"].message == (
            "2 of 3 streams deliver; without data for longer than spec.staleAfter: "
            "BTC-USDT/orderbook (since 2026-11-22T10:00:00Z)"
        )

    def test_a_running_process_alone_is_not_streaming(self, scene: Scene) -> None:
        looks = {"pod-1": Look(scene.report(streams=[], health="Healthy"))}
        assert said(scene.picture(scene.pod(), looks=looks), "Streaming") == ("False", Reason.STREAMS_PENDING)

    def gone(self, scene: Scene, state: str, connection: str = "backoff") -> Picture:
        streams = [{"stream": f"BTC-USDT/{kind}", "state": state} for kind in ("trade", "orderbook", "ticker")]
        down = {"name": "public", "state": connection, "since": "2026-11-22T10:00:00Z", "reason": "refused"}
        look = Look(scene.report(streams=streams, connections=[down], health="Unhealthy"))
        return scene.picture(scene.pod(ready=False), looks={"pod-1": look})

    def test_without_the_exchange_the_workload_is_not_blamed(self, scene: Scene) -> None:
        found = conditions(self.gone(scene, "stale"))
        assert (found["Streaming"].status, found["Streaming"].reason) == ("False", Reason.DISCONNECTED)
        assert found["Streaming"].message.endswith("no connection to the exchange since 2026-11-22T10:00:00Z: refused")
        assert found["WorkloadReady"].status == "True"
        assert "Stalled" not in found

    def test_a_short_reconnect_is_no_news(self, scene: Scene) -> None:
        found = conditions(self.gone(scene, "live"))
        assert (found["Streaming"].status, found["Ready"].status) == ("True", "True")

    def test_giving_up_needs_a_person_when_the_spec_says_so(self, scene: Scene) -> None:
        scene.want(autoRestart=False)
        found = conditions(self.gone(scene, "stale", "stopped"))
        assert found["Streaming"].reason == Reason.RECONNECTS_EXHAUSTED
        assert found["Stalled"].reason == Reason.RECONNECTS_EXHAUSTED

    def test_one_replica_that_delivers_is_enough(self, scene: Scene) -> None:
        scene.want(replicas=2)
        stale = scene.streams("stale", "stale", "stale")["pod-1"]
        looks = {"pod-1": stale, "pod-2": Look(scene.report("pod-2"))}
        assert said(scene.picture(scene.pod(), scene.pod("pod-2"), looks=looks), "Streaming")[0] == "True"

    def test_a_shard_without_a_pod_does_not_stream(self, scene: Scene) -> None:
        assert said(scene.picture(), "Streaming") == ("False", Reason.COLLECTOR_NOT_RUNNING)


class TestNotLooked:
    def test_could_not_look_is_unknown_with_what_was_tried(self, scene: Scene) -> None:
        look = Look(scene.report(), "GET http://10.0.0.1:8080/status failed: timed out", NOW - BELIEVED_FOR - 1)
        found = conditions(scene.picture(scene.pod(), looks={"pod-1": look}))
        for kind in ("Streaming", "Complete", "SinksHealthy", "Ready"):
            assert (found[kind].status, found[kind].reason) == ("Unknown", Reason.COLLECTOR_UNREACHABLE)
            assert "timed out" in found[kind].message
        assert health(found) == "Unknown"

    def test_one_look_that_failed_is_no_news(self, scene: Scene) -> None:
        look = Look(scene.report(), "timed out", NOW - 1)
        assert said(scene.picture(scene.pod(), looks={"pod-1": look}), "Ready")[0] == "True"

    def test_it_is_known_when_a_report_will_no_longer_be_believed(self, scene: Scene) -> None:
        look = Look(scene.report(), "timed out", NOW - 4)
        assert scene.picture(scene.pod(), looks={"pod-1": look}).expires_in == BELIEVED_FOR - 4
        assert scene.picture(scene.pod()).expires_in is None
        given_up = Look(scene.report(), "timed out", NOW - BELIEVED_FOR - 4)
        assert scene.picture(scene.pod(), looks={"pod-1": given_up}).expires_in is None

    def test_after_a_start_of_the_operator_what_was_told_stands_until_the_first_look(self, scene: Scene) -> None:
        before = conditions(scene.picture(scene.pod()))
        assert conditions(scene.picture(scene.pod(), looks={}, before=before)) == before

    def test_what_stands_does_not_hide_a_crash(self, scene: Scene) -> None:
        before = conditions(scene.picture(scene.pod()))
        crashed = scene.pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, ready=False)
        assert said(scene.picture(crashed, looks={}, before=before), "Ready") == ("False", Reason.CRASH_LOOPING)


class TestComplete:
    def test_an_open_hole_degrades_but_the_resource_stays_ready(self, scene: Scene) -> None:
        gap = {"id": "1", "stream": "BTC-USDT/trade", "state": "open"}
        found = conditions(scene.picture(scene.pod(), looks={"pod-1": Look(scene.report(gaps=[gap]))}))
        assert (found["Complete"].status, found["Complete"].reason) == ("False", Reason.GAPS_OPEN)
        assert found["Complete"].message == "1 hole open in BTC-USDT/trade"
        assert found["Ready"].status == "True"
        assert health(found) == "Degraded"

    @pytest.mark.parametrize("state", ["repaired", "lost"])
    def test_a_hole_that_is_closed_is_not_open(self, scene: Scene, state: str) -> None:
        gap = {"id": "1", "stream": "BTC-USDT/trade", "state": state}
        assert (
            said(scene.picture(scene.pod(), looks={"pod-1": Look(scene.report(gaps=[gap]))}), "Complete")[0] == "True"
        )


def test_a_sink_that_cannot_write_makes_it_not_ready(scene: Scene) -> None:
    sink = {"name": "archive", "type": "file", "healthy": False, "error": "read-only file system"}
    found = conditions(scene.picture(scene.pod(), looks={"pod-1": Look(scene.report(sinks=[sink]))}))
    assert found["SinksHealthy"].reason == Reason.SINK_FAILING
    assert found["Ready"].message == "1 sink cannot write: archive: read-only file system"


class TestSuspended:
    def test_once_all_pods_are_gone_it_is_ready_and_says_why(self, scene: Scene) -> None:
        scene.want(suspend=True)
        found = conditions(scene.picture())
        assert (found["Ready"].status, found["Ready"].reason) == ("True", Reason.SUSPENDED)
        assert (found["Streaming"].status, found["Streaming"].reason) == ("False", Reason.SUSPENDED)
        assert health(found) == "Healthy"
        assert "Reconciling" not in found

    def test_while_pods_are_left_it_is_not(self, scene: Scene) -> None:
        scene.want(suspend=True)
        found = conditions(scene.picture(scene.pod()))
        assert (found["Ready"].status, found["Reconciling"].status) == ("False", "True")


def test_messages_stay_short_with_hundreds_of_streams(scene: Scene) -> None:
    symbols = [f"C{number}-USDT" for number in range(500)]
    scene.want(symbols=symbols, dataTypes=["trade"])
    streams = [{"stream": f"{symbol}/trade", "state": "stale"} for symbol in symbols]
    found = conditions(scene.picture(scene.pod(), looks={"pod-1": Look(scene.report(streams=streams))}))
    assert found["Streaming"].message.endswith("and 495 more")


def test_every_reason_is_one_that_kubernetes_takes() -> None:
    reasons = [value for name, value in vars(Reason).items() if name.isupper()]
    assert all(reason.isalpha() for reason in reasons)
    assert len(set(reasons)) == len(reasons)
