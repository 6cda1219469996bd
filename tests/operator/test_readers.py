"""Every reader of foreign data raises only its documented error, whatever it reads.

An unexpected error about one object could end the operator for the whole cluster. The seeds are those that did.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hostile import JSON, TEXTS, damaged, deep
from market_operator.cluster.client import read_refusal
from market_operator.cluster.lease import Candidate
from market_operator.cluster.pages import parse, read_page
from market_operator.errors import ApiError, LeadershipError, ObjectError, ReportError
from market_operator.manifests.build import build_desired_state
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors, ProbeResult
from market_operator.observed.counters import CounterState, fold, read_counter_state, write_counter_state
from market_operator.observed.handover import Handovers
from market_operator.observed.ownership import is_managed, owned_shard, owner_key
from market_operator.observed.pods import Pod, read_pod
from market_operator.observed.registry import Registry
from market_operator.observed.reports import Report, read_report
from market_operator.resource.document import Resource, read_resource
from market_operator.resource.naming import Key
from market_operator.resource.status import Status
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.status.build import new_status
from market_operator.status.snapshot import Snapshot
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from market_operator.watch.kopf_watch import handle_event
from mutations import mutated
from owned import made_by_replicaset, owned

KEY = Key("md", "okx-btc")
NOW = 1_795_345_600.0
STREAM = "BTC-USDT/trade"
TIME = "2026-11-22T10:00:00Z"
# Fixtures of this folder build documents; they keep no state between examples.
any_number_of_calls = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

REPORT: dict[str, Any] = {
    "contract": 1,
    "epoch": f"pod-1/{TIME}",
    "shard": 0,
    "health": "Healthy",
    "reason": "",
    "counters": {"messages": 10, "records": 9},
    "connections": [{"name": "public", "state": "connected", "since": TIME, "error": "x"}],
    "streams": [{"stream": STREAM, "state": "stale", "since": TIME, "reason": "NoData", "message": "m"}],
    "gaps": [{"id": "1", "stream": STREAM, "state": "open", "reason": "r"}],
    "sinks": [{"name": "out", "type": "stdout", "healthy": False, "dropped": 3, "error": "full"}],
    "positions": {STREAM: {"line": {"last": 7, "time_ns": 1, "holes": [[3, 4]]}}, "A-B/ticker": None},
    "lastMessageTime": TIME,
    "lastReconnect": {"time": TIME, "reason": "lost"},
}
META = {
    "name": "okx-btc-0-x",
    "namespace": "md",
    "uid": "pod-1",
    "resourceVersion": "5",
    "labels": {"marketcollector.dev/shard": "0", "pod-template-hash": "6d4c"},
    "annotations": {"marketcollector.dev/resource": "okx-btc", "marketcollector.dev/template": "t"},
    **made_by_replicaset("okx-btc-0-6d4c"),
}
ENDED = {"terminated": {"reason": "Error", "exitCode": 1, "message": "m", "startedAt": TIME, "finishedAt": TIME}}
POD: dict[str, Any] = {
    "metadata": META,
    "spec": {"nodeName": "n", "volumes": [{"name": "config", "configMap": {"name": "c"}}]},
    "status": {
        "phase": "Failed",
        "startTime": TIME,
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "False", "message": "m", "lastTransitionTime": TIME}],
        "containerStatuses": [
            {"name": "collector", "restartCount": 1, "state": ENDED, "lastState": ENDED},
            {"name": "mesh", "started": True, "state": {"running": {"startedAt": TIME}}},
        ],
        "initContainerStatuses": [{"name": "init", "state": {"waiting": {"reason": "r", "message": "m"}}}],
    },
}
MANAGED: dict[str, Any] = {"metadata": {**META, **owned()}, "data": {"a": "b"}}
HANDOVER = {
    "contract": 1,
    "ended": {STREAM: {"line": {"last": 7, "time_ns": 1}}, "A-B/ticker": None},
    "running": {"pod-0": {"address": "10.0.0.1:8080", "streams": {STREAM: {"line": {"head": 4}}}}},
}
PAGE = {"metadata": {"resourceVersion": "7", "continue": "c"}, "items": [MANAGED, POD]}
LEASE = {
    "metadata": {"namespace": "home", "name": "operator", "resourceVersion": "1"},
    "spec": {"holderIdentity": "other", "leaseDurationSeconds": 15, "leaseTransitions": 3, "renewTime": "r"},
}
REFUSAL = {"message": "m", "reason": "Invalid", "details": {"kind": "pods", "causes": [{"reason": "r"}]}}


def as_text(document: Any) -> st.SearchStrategy[str]:
    """A damaged document, any JSON, or no JSON."""
    return damaged(document).map(json.dumps) | JSON.map(json.dumps) | TEXTS


def as_bytes(document: Any) -> st.SearchStrategy[bytes]:
    """The same as bytes, or mutated bytes."""
    whole = as_text(document).map(lambda text: text.encode(errors="surrogatepass"))
    return whole | mutated([json.dumps(document).encode()])


def no_number(text: str) -> None:
    """Refuses NaN and Infinity, as other parsers do."""
    raise ValueError(text)


def seeded(field: str, value: str) -> str:
    """A report with one field, given as JSON."""
    return f'{{"contract": 1, "epoch": "pod-1/1", "{field}": {value}}}'


@given(text=as_bytes(REPORT) | as_text(REPORT))
@example(text="[" * 4_000)
@example(text=b"[" * 4_000_000)
@example(text=seeded("x", "[" * 5_000 + "]" * 5_000))
@example(text=seeded("lastMessageTime", '"0001-01-01T00:00:00+01:00"'))
@example(text=seeded("lastMessageTime", '"9999-12-31T23:59:59-23:59"'))
@example(text=seeded("connections", '[{"since": "0001-01-01T00:00:00+23:59"}]'))
@example(text=seeded("counters", '{"messages": 1' + "0" * 300 + "}"))
@example(text=seeded("counters", '{"messages": ' + "9" * 5_000 + "}"))
@example(text=seeded("shard", "NaN"))
@example(text=seeded("positions", '{"a": {"line": {"last": 1e999}}}'))
@example(text=seeded("positions", '{"a": {"line": {"last": 1, "x": NaN}}}'))
@example(text=seeded("reason", '"\\ud800"'))
def test_any_report_is_read_or_refused(text: str | bytes) -> None:
    try:
        found = read_report(text)
    except ReportError:
        return
    assert all(0 <= number <= 2**53 for number in found.counters.numbers)
    assert json.loads(found.positions or "{}", parse_constant=no_number) is not None


@given(text=as_text(REPORT))
@example(text="[" * 4_000)
@example(text=seeded("lastMessageTime", '"0001-01-01T00:00:00+01:00"'))
def test_any_termination_message_is_counted_or_ignored(text: str) -> None:
    collectors, words = Collectors(), {"terminated": {"exitCode": 1, "message": text}}
    container = {"name": "collector", "state": words}
    pod = read_pod({"metadata": META, "status": {"phase": "Running", "containerStatuses": [container]}})
    collectors.record_termination(pod)
    state = fold(CounterState(), collectors.samples(KEY, [pod]), {pod.uid})
    assert read_counter_state(write_counter_state(state)).total == state.total


@any_number_of_calls
@given(document=damaged(REPORT))
@example(document={**REPORT, "counters": dict.fromkeys(REPORT["counters"], 10**300)})
@example(document={**REPORT, "lastMessageTime": "9999-12-31T23:59:59Z"})
@example(document={**REPORT, "streams": [{"stream": "S" * 400, "state": "x" * 400, "reason": "r" * 400}] * 300})
def test_the_status_of_any_report_is_one_that_the_api_server_stores(
    resource: Callable[..., Resource], pod: Callable[..., Pod], document: Any
) -> None:
    """A refused status would stay as it is, such as Ready."""
    try:
        report = read_report(json.dumps(document))
    except ReportError:
        return
    status = status_of(resource(), pod, report)
    Status.model_validate(status)
    assert json.loads(json.dumps(status, ensure_ascii=False).encode()) == status


def status_of(known: Resource, pod: Callable[..., Pod], report: Report) -> dict[str, Any]:
    desired = build_desired_state(known, "image:1")
    running, collectors = pod(template=desired.templates[0]), Collectors()
    collectors.record_probe(running, report)
    counters = fold(CounterState(), collectors.samples(KEY, [running]), {running.uid})
    probes = {running.uid: ProbeResult(report)}
    return new_status(known, Snapshot(desired, "", {}, (running,), probes, (), {}, NOW), counters)


@given(document=damaged(POD))
@example(document={"metadata": {**META, "labels": {"marketcollector.dev/shard": "\u00b2"}}})
@example(document={**POD, "status": {"startTime": "0001-01-01T00:00:00+23:59", "phase": "Failed"}})
def test_any_object_is_a_pod_or_an_object_error(document: Any) -> None:
    reads_or_raises_object_error(read_pod, document)


@given(document=damaged(MANAGED), key=st.builds(Key, TEXTS, TEXTS))
@example(document={"metadata": {"ownerReferences": [deep(300)]}}, key=KEY)
def test_any_object_has_an_owner_or_is_an_object_error(document: Any, key: Key) -> None:
    for read in (owner_key, is_managed, read_resource):
        reads_or_raises_object_error(read, document)
    reads_or_raises_object_error(lambda each: owned_shard(each, key), document)


def reads_or_raises_object_error(read: Callable[[Any], object], document: Any) -> None:
    with suppress(ObjectError):
        read(document)


@any_number_of_calls
@given(stored=as_text(HANDOVER), reported=as_text(HANDOVER["ended"]))
@example(stored="[" * 4_000, reported="{}")
@example(stored='{"ended": {"a": 5}, "running": {"x": {"streams": {"a": []}}}}', reported="{}")
@example(stored="\ud800", reported="\ud800")
def test_any_handover_document_is_read_or_replaced(pod: Callable[..., Pod], stored: str, reported: str) -> None:
    """A user may edit the ConfigMap."""
    handovers = Handovers()
    texts = [
        handovers.document(KEY, stored, [pod()], {"gone": reported}, (STREAM,), lambda: True, lambda: True)[0],
        handovers.document(KEY, stored, [pod()], {"pod-1": reported}, (STREAM,), lambda: True, lambda: True)[0],
    ]
    for text in texts:
        document = json.loads(text, parse_constant=no_number)
        assert set(document) == {"contract", "ended", "running"}


@given(answer=as_bytes(PAGE))
@example(answer=json.dumps(PAGE).encode().replace(b"okx-btc-0-x", b"\xf2"))
@example(answer=b'{"metadata": {"resourceVersion": "1"}, "items": [' + b"[" * 100_000 + b"]}")
@example(answer=b'{"metadata": {"resourceVersion": "' + b"9" * 5_000 + b'"}}')
@example(answer=json.dumps({"metadata": {"resourceVersion": "1"}, "items": [{"a": deep(800)}, MANAGED]}).encode())
def test_any_listing_is_read_or_is_an_error_of_the_call(answer: bytes) -> None:
    with suppress(ApiError):
        page, _ = read_page("/p", answer)
        for item in page.items:
            assert {"name", "namespace", "uid", "resourceVersion"} <= item.head["metadata"].keys()
            item.document()
    with suppress(ApiError):
        parse("GET /p", answer)


@given(event=damaged({"type": "MODIFIED", "object": POD}), kind=st.sampled_from(["Pod", "ConfigMap"]))
@example(event={"type": "ADDED", "object": deep(300)}, kind="Pod")
@example(event={"type": "DELETED"}, kind="Pod")
def test_any_watch_event_is_handled(event: Any, kind: str) -> None:
    """kopf ends the watches of all kinds when a handler fails too often; and one object must not hide others."""
    containment = Containment(Metrics())
    queue = WorkQueue(lambda: 0.0)
    informer = Informer(Cache(), Registry(), Collectors(), queue, PollSchedule(), containment, is_leading=True)

    def handle(type_: str | None, document: Any) -> None:
        if type_ == "DELETED":
            informer.child_gone(kind, document)
        else:
            informer.child(kind, document, NOW)

    handle_event(kind, containment, handle, event)
    sound = POD if kind == "Pod" else MANAGED
    other = {**sound, "metadata": {**sound["metadata"], "name": "another", "uid": "another"}}
    handle_event(kind, containment, handle, {"type": "ADDED", "object": other})
    assert [*informer.cache.pods()] or informer.cache.observe(KEY).children


@given(lease=damaged(LEASE).filter(lambda each: isinstance(each, dict)), now=st.floats(0, 1e9))
@example(lease={**LEASE, "spec": []}, now=1.0)
@example(lease={**LEASE, "spec": {"holderIdentity": "other", "leaseDurationSeconds": "15"}}, now=1.0)
@example(lease={**LEASE, "spec": {"leaseTransitions": 10**300}}, now=1.0)
def test_any_lease_is_taken_or_left(lease: Any, now: float) -> None:
    me = Candidate("me", {"namespace": "home", "name": "operator"})
    me.saw(lease, 0.0)
    claim = me.claim(now, "t")
    assert claim is None or claim["spec"]["holderIdentity"] == "me"
    me.claimed({**LEASE, "spec": {"holderIdentity": "me"}}, now, now)
    with suppress(LeadershipError):
        me.saw(lease, now)
        me.claim(now, "t")
    me.release("t")


@given(body=as_bytes(REFUSAL), retry_after=TEXTS | st.just("3"), status=st.integers(400, 599))
@example(body=b'{"details": {"causes": [5]}}', retry_after="\u00b2", status=422)
@example(body=b'{"message": {"a": 1}, "reason": 7, "details": [1]}', retry_after="", status=500)
def test_any_refusal_is_an_api_error(body: bytes, retry_after: str, status: int) -> None:
    error = read_refusal(status, retry_after, body)
    assert (error.status, error.retry_after >= 0) == (status, True)
    assert isinstance(error.is_retryable, bool)
    assert isinstance(error.is_namespace_gone, bool)
    assert str(error)
