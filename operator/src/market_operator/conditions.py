"""The conditions: one small pure function each, from the picture to True, False or Unknown with reason and message.

Reasons are a closed list: a class attribute of Reason each. Precedence inside a condition is the order of the ifs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from market_operator.desired import Wanted
from market_operator.errors import ApiError
from market_operator.observations import Look
from market_operator.pods import Pod
from market_operator.reports import Report, Stream
from market_operator.resource import Document

State = Literal["True", "False", "Unknown"]
# A pod that cannot be read is believed to be as its last report said for this long (seconds): one lost packet or a
# busy moment is no news.
BELIEVED_FOR = 10.0
DELIVERING = ("live", "quiet")
_NOT_CONNECTED = ("connecting", "backoff", "stopped")
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
_NAMED = 5


class Reason:
    """All reasons of all conditions; README and alerts may rely on them."""

    ACCEPTED = "Accepted"
    ALL_LIVE = "AllStreamsLive"
    ALL_RUNNING = "AllPodsRunning"
    APPLY_FAILED = "ApplyFailed"
    COLLECTOR_UNREACHABLE = "CollectorUnreachable"
    COLLECTOR_NOT_RUNNING = "CollectorNotRunning"
    CRASH_LOOPING = "CrashLooping"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    DISCONNECTED = "Disconnected"
    GAPS_OPEN = "GapsOpen"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    INVALID_SPEC = "InvalidSpec"
    NO_GAPS_OPEN = "NoGapsOpen"
    PENDING = "Pending"
    PODS_NOT_READY = "PodsNotReady"
    PODS_REFUSED = "PodsRefused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    READY = "Ready"
    RECONNECTS_EXHAUSTED = "ReconnectsExhausted"
    ROLLING_OUT = "RollingOut"
    SINK_FAILING = "SinkFailing"
    SINKS_WRITING = "SinksWriting"
    STREAMS_PENDING = "StreamsPending"
    STREAMS_REFUSED = "StreamsRefused"
    STREAMS_STALE = "StreamsStale"
    SUBSCRIPTION_REFUSED = "SubscriptionRefused"
    SUSPENDED = "Suspended"
    SYMBOL_NOT_FOUND = "SymbolNotFound"
    UNSCHEDULABLE = "Unschedulable"


# While data flows, these reasons of WorkloadReady do not make the resource not Ready: the old pods of a roll-out or the
# other replica still deliver.
PASSING = (Reason.ROLLING_OUT, Reason.PODS_NOT_READY)


# What can only be known from the collectors' reports.
FROM_REPORTS = ("Accepted", "Streaming", "Complete", "SinksHealthy")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition says now."""

    status: State
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that failed: of what ("Deployment okx-0"), and why."""

    what: str
    error: ApiError


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the conditions are made from.

    `wanted` is None when the spec is invalid, and `invalid` says why. `now` is in seconds since 1970. `before` holds
    the stored conditions of this same generation by type, since some truths outlast a moment without reports.
    """

    wanted: Wanted | None
    invalid: str
    deployments: Mapping[int, Document]
    pods: tuple[Pod, ...]
    looks: Mapping[str, Look]
    failures: tuple[Failure, ...]
    before: Mapping[str, Verdict]
    now: float

    def pods_of(self, shard: int) -> list[Pod]:
        """The pods of a shard that are not going."""
        return [pod for pod in self.pods if pod.shard == shard and not pod.is_terminating]

    def reports_of(self, shard: int) -> list[Report]:
        """What is known of a shard's running pods, of every version."""
        return [report for pod in self.pods_of(shard) if pod.is_running and (report := self._believed(pod.uid))]

    @property
    def unseen(self) -> bool:
        """Whether a running pod has yet to be read, as after a start of the operator.

        What was told of this generation stands until then: not having looked yet is no news.
        """
        running = [pod for shard in self.shards for pod in self.pods_of(shard) if pod.is_running]
        return any(self._is_unread(pod.uid) for pod in running)

    @property
    def expires_in(self) -> float | None:
        """Seconds until time alone changes the picture: until a report that cannot be renewed is no longer believed."""
        looks = [self.looks.get(pod.uid, Look()) for pod in self.pods if pod.is_running]
        waits = [look.failing_since + BELIEVED_FOR - self.now for look in looks if look.problem]
        return min((wait for wait in waits if wait >= 0), default=None)

    def unreachable(self, shard: int) -> list[tuple[Pod, Look]]:
        """The running pods of a shard that can no longer be read, or never could."""
        looks = [(pod, self.looks.get(pod.uid)) for pod in self.pods_of(shard) if pod.is_running]
        return [(pod, look) for pod, look in looks if look and self._is_given_up(look)]

    @property
    def shards(self) -> range:
        """The wanted shards."""
        return range(len(self.wanted.templates) if self.wanted else 0)

    @property
    def reports(self) -> list[Report]:
        """What is known of all running pods of the wanted shards."""
        return [report for shard in self.shards for report in self.reports_of(shard)]

    @property
    def is_suspended(self) -> bool:
        """Whether no collector shall run."""
        return self.wanted is not None and self.wanted.spec.suspend

    def _believed(self, uid: str) -> Report | None:
        look = self.looks.get(uid, Look())
        return None if self._is_given_up(look) else look.report

    def _is_unread(self, uid: str) -> bool:
        look = self.looks.get(uid, Look())
        return look.report is None and not self._is_given_up(look)

    def _is_given_up(self, look: Look) -> bool:
        return bool(look.problem) and self.now - look.failing_since > BELIEVED_FOR


def conditions(picture: Picture) -> dict[str, Verdict]:
    """All conditions of the picture by type; Reconciling and Stalled only when True."""
    found = {
        "Accepted": accepted(picture),
        "WorkloadReady": workload_ready(picture),
        "Streaming": streaming(picture),
        "Complete": complete(picture),
        "SinksHealthy": sinks_healthy(picture),
    }
    if picture.unseen:
        found |= {kind: verdict for kind, verdict in picture.before.items() if kind in FROM_REPORTS}
    progress = {"Reconciling": reconciling(found), "Stalled": stalled(found)}
    present = {kind: verdict for kind, verdict in progress.items() if verdict is not None}
    return {"Ready": ready(found, picture), **found, **present}


def ready(found: Mapping[str, Verdict], picture: Picture) -> Verdict:
    """The summary: whether data flows as the resource says. An open gap shows in Complete and in the health alone."""
    inputs = [found[kind] for kind in ("Accepted", "WorkloadReady", "Streaming", "SinksHealthy")]
    if picture.is_suspended and found["Accepted"].status != "False":
        return found["WorkloadReady"]
    if found["Streaming"].status == "True" and found["WorkloadReady"].reason in PASSING:
        inputs.remove(found["WorkloadReady"])
    for status in ("False", "Unknown"):
        for verdict in inputs:
            if verdict.status == status:
                return verdict
    return Verdict("True", Reason.READY, found["Streaming"].message)


def accepted(picture: Picture) -> Verdict:
    """Whether the exchange knows the symbols. Known for a generation, it stays known while nothing says otherwise."""
    if picture.invalid:
        return Verdict("False", Reason.INVALID_SPEC, picture.invalid)
    refused = _merged(picture, lambda stream: stream.state == "refused")
    if refused:
        return _refused(refused)
    streams = [stream for report in picture.reports for stream in report.streams]
    before = picture.before.get("Accepted")
    is_known = streams and all(stream.state != "pending" for stream in streams) and _all_shards_report(picture)
    if before and (before.status == "True" or (before.status == "False" and not is_known)):
        return before if before.status == "False" else _is_accepted(picture)
    if is_known:
        return _is_accepted(picture)
    if picture.is_suspended:
        return Verdict("Unknown", Reason.SUSPENDED, "Nothing was asked of the exchange, because spec.suspend is true")
    if not _all_shards_report(picture):
        return _not_reported(picture)
    return Verdict("Unknown", Reason.PENDING, "The exchange has not yet answered all subscriptions")


def _is_accepted(picture: Picture) -> Verdict:
    spec = picture.wanted.spec if picture.wanted else None
    return Verdict("True", Reason.ACCEPTED, f"{spec.exchange if spec else 'The exchange'} accepted all subscriptions")


def _refused(refused: Sequence[Stream]) -> Verdict:
    unknown = sorted({stream.symbol for stream in refused if stream.reason.startswith(Reason.SYMBOL_NOT_FOUND)})
    if unknown:
        message = f"The exchange does not know {_some(unknown)}; correct or remove it"
        return Verdict("False", Reason.SYMBOL_NOT_FOUND, message)
    names = [f"{stream.name} ({stream.reason or 'no reason given'})" for stream in refused]
    return Verdict("False", Reason.SUBSCRIPTION_REFUSED, f"The exchange refused {_some(names)}")


def workload_ready(picture: Picture) -> Verdict:
    """Whether all pods of the wanted version run, and no other.

    Their streams are not asked for: a pod that the kubelet calls not ready because the exchange is gone still runs.
    """
    if picture.wanted is None:
        return Verdict("Unknown", Reason.INVALID_SPEC, "Nothing is built from a spec that is not valid")
    if picture.failures:
        return _apply_failed(picture.failures)
    if picture.is_suspended:
        return _suspended(picture)
    verdicts = [_shard_ready(picture, shard) for shard in picture.shards]
    bad = [verdict for verdict in verdicts if verdict.status != "True"]
    worst = [verdict for verdict in bad if verdict.reason not in PASSING] or bad
    if not worst:
        return Verdict("True", Reason.ALL_RUNNING, f"Wanted pods that run: {_wanted_pods(picture.wanted)}")
    return worst[0]


def _apply_failed(failures: Sequence[Failure]) -> Verdict:
    texts = [f"{failure.what}: {failure.error}" for failure in failures]
    quota = any("exceeded quota" in text for text in texts)
    return Verdict("False", Reason.QUOTA_EXCEEDED if quota else Reason.APPLY_FAILED, f"Could not write {_some(texts)}")


def _suspended(picture: Picture) -> Verdict:
    left = [pod for pod in picture.pods if not pod.is_terminating]
    if left:
        message = f"{_number(len(left), 'pod')} still to stop, because spec.suspend is true"
        return Verdict("False", Reason.ROLLING_OUT, message)
    return Verdict("True", Reason.SUSPENDED, "No pod runs, because spec.suspend is true")


def _shard_ready(picture: Picture, shard: int) -> Verdict:
    assert picture.wanted
    template, replicas = picture.wanted.templates[shard], picture.wanted.spec.replicas
    pods = picture.pods_of(shard)
    new = [pod for pod in pods if pod.template == template]
    old = [pod for pod in pods if pod.template != template]
    running = [pod for pod in new if pod.is_running]
    if len(running) >= replicas and not old:
        return Verdict("True", Reason.ALL_RUNNING, "")
    found = [verdict for pod in new if (verdict := _pod_trouble(pod))]
    if trouble := found or _deployment_trouble(picture.deployments.get(shard, {})):
        return trouble[0]
    if old:
        to_go = _number(len(old), "old pod")
        message = f"Shard {shard}: {len(running)} of {replicas} new pods run, {to_go} still to go"
        return Verdict("False", Reason.ROLLING_OUT, message)
    return Verdict("False", Reason.PODS_NOT_READY, f"Shard {shard}: {len(running)} of {replicas} pods run")


def _pod_trouble(pod: Pod) -> Verdict | None:
    """What keeps a pod from running that will not pass by itself, or not soon."""
    if pod.is_running:
        return None
    if pod.waiting in _IMAGE_REASONS:
        return Verdict("False", Reason.IMAGE_PULL_FAILED, f"Pod {pod.name}: {pod.waiting}: {_cut(pod.waiting_message)}")
    if pod.waiting == "CrashLoopBackOff" or (pod.ended and pod.restarts > 1):
        return Verdict("False", Reason.CRASH_LOOPING, _crash(pod))
    if pod.unschedulable:
        return Verdict("False", Reason.UNSCHEDULABLE, f"Pod {pod.name}: {_cut(pod.unschedulable)}")
    if pod.waiting.endswith("Error"):
        return Verdict("False", Reason.PODS_REFUSED, f"Pod {pod.name}: {pod.waiting}: {_cut(pod.waiting_message)}")
    return None


def _crash(pod: Pod) -> str:
    words = _cut(pod.last_words[-1].strip().splitlines()[-1]) if pod.last_words and pod.last_words[-1].strip() else ""
    said = f"; it said: {words}" if words and not words.startswith("{") else ""
    return f"Pod {pod.name} ended {_number(pod.restarts, 'time')}: {pod.ended or 'no reason known'}{said}"


def _deployment_trouble(deployment: Document) -> list[Verdict]:
    found = {each.get("type"): each for each in deployment.get("status", {}).get("conditions", ())}
    refused, progress = found.get("ReplicaFailure", {}), found.get("Progressing", {})
    if refused.get("status") == "True":
        message = _cut(refused.get("message", ""))
        reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.PODS_REFUSED
        return [Verdict("False", reason, message)]
    if progress.get("reason") == "ProgressDeadlineExceeded":
        message = f"{_cut(progress.get('message', ''))}; the new pods do not get ready in time"
        return [Verdict("False", Reason.DEADLINE_EXCEEDED, message)]
    return []


def streaming(picture: Picture) -> Verdict:
    """Whether every wanted stream is delivered by at least one replica, or its market is quiet."""
    if picture.wanted is None:
        return Verdict("Unknown", Reason.INVALID_SPEC, "No collector is wanted while the spec is not valid")
    if picture.is_suspended:
        return Verdict("False", Reason.SUSPENDED, "No stream is wanted, because spec.suspend is true")
    live, total = live_streams(picture)
    if live >= total:
        return Verdict("True", Reason.ALL_LIVE, f"{live} of {total} streams deliver")
    return _not_streaming(picture, live, total)


def _not_streaming(picture: Picture, live: int, total: int) -> Verdict:
    rest = _merged(picture, lambda stream: stream.state not in DELIVERING)
    counts = f"{live} of {total} streams deliver"
    for find in (_stopped, _disconnected, _not_running, _unreachable):
        if verdict := find(picture, counts):
            return verdict
    for state, reason, word in _STREAM_REASONS:
        names = [f"{stream.name}{_since(stream)}" for stream in rest if stream.state == state]
        if names:
            return Verdict("False", reason, f"{counts}; {word}: {_some(names)}")
    return Verdict("False", Reason.STREAMS_PENDING, f"{counts}; the collectors have not reported the others yet")


_STREAM_REASONS = (
    ("stale", Reason.STREAMS_STALE, "without data for longer than spec.staleAfter"),
    ("refused", Reason.STREAMS_REFUSED, "refused by the exchange"),
    ("pending", Reason.STREAMS_PENDING, "waiting for first data"),
)


def _since(stream: Stream) -> str:
    return f" (since {stream.since})" if stream.since else ""


def _stopped(picture: Picture, counts: str) -> Verdict | None:
    """The collectors gave up as spec.autoRestart: false tells them to."""
    stopped = [c for report in picture.reports for c in report.connections if c.state == "stopped"]
    if not stopped or (picture.wanted and picture.wanted.spec.auto_restart):
        return None
    reason = f" ({stopped[0].reason})" if stopped[0].reason else ""
    message = f"{counts}; gave up after spec.connection.maxReconnectAttempts failed attempts{reason}"
    return Verdict("False", Reason.RECONNECTS_EXHAUSTED, f"{message}; change the spec or delete the pod to try again")


def _disconnected(picture: Picture, counts: str) -> Verdict | None:
    """Every connection of a shard is down, and none of its streams is fresh any more."""
    for shard in picture.shards:
        reports = picture.reports_of(shard)
        connections = [connection for report in reports for connection in report.connections]
        fresh = [stream for report in reports for stream in report.streams if stream.state in DELIVERING]
        down = [connection for connection in connections if connection.state in _NOT_CONNECTED]
        if down and len(down) == len(connections) and not fresh and any(c.state != "connecting" for c in down):
            told = next((c for c in down if c.reason), down[0])
            since = f" since {told.since}" if told.since else ""
            why = told.reason or next((report.reason for report in reports if report.reason), "no reason known")
            return Verdict("False", Reason.DISCONNECTED, f"{counts}; no connection to the exchange{since}: {why}")
    return None


def _not_running(picture: Picture, counts: str) -> Verdict | None:
    idle = [str(shard) for shard in picture.shards if not any(pod.is_running for pod in picture.pods_of(shard))]
    if not idle:
        return None
    word = "shard" if len(idle) == 1 else "shards"
    return Verdict("False", Reason.COLLECTOR_NOT_RUNNING, f"{counts}; no collector runs for {word} {_some(idle)}")


def _unreachable(picture: Picture, counts: str) -> Verdict | None:
    for shard in picture.shards:
        lost = picture.unreachable(shard)
        if lost and not picture.reports_of(shard):
            pod, look = lost[0]
            message = f"Could not look at pod {pod.name}: {look.problem}; {counts} as far as is known"
            return Verdict("Unknown", Reason.COLLECTOR_UNREACHABLE, message)
    return None


def complete(picture: Picture) -> Verdict:
    """Whether no hole in the data is open."""
    if picture.is_suspended:
        return Verdict("Unknown", Reason.SUSPENDED, "Nothing is collected, because spec.suspend is true")
    if not _all_shards_report(picture):
        return _not_reported(picture)
    gaps = [gap for report in picture.reports for gap in report.gaps if gap.state == "open"]
    if gaps:
        names = sorted({gap.stream for gap in gaps})
        return Verdict("False", Reason.GAPS_OPEN, f"{_number(len(gaps), 'hole')} open in {_some(names)}")
    return Verdict("True", Reason.NO_GAPS_OPEN, "No hole is open")


def sinks_healthy(picture: Picture) -> Verdict:
    """Whether what is collected is also written."""
    if picture.is_suspended:
        return Verdict("Unknown", Reason.SUSPENDED, "Nothing is written, because spec.suspend is true")
    failing = sorted(
        {
            f"{sink.name}: {sink.error or 'no reason given'}"
            for r in picture.reports
            for sink in r.sinks
            if not sink.healthy
        }
    )
    if failing:
        return Verdict("False", Reason.SINK_FAILING, f"{_number(len(failing), 'sink')} cannot write: {_some(failing)}")
    if not _all_shards_report(picture):
        return _not_reported(picture)
    return Verdict("True", Reason.SINKS_WRITING, "All sinks take what they are given")


def _not_reported(picture: Picture) -> Verdict:
    lost = [found for shard in picture.shards for found in picture.unreachable(shard)]
    if lost:
        pod, look = lost[0]
        message = f"Could not look at pod {pod.name}: {look.problem}"
        return Verdict("Unknown", Reason.COLLECTOR_UNREACHABLE, message)
    return Verdict("Unknown", Reason.PENDING, "Not all collectors have reported yet")


def reconciling(found: Mapping[str, Verdict]) -> Verdict | None:
    """kstatus' sign that work is under way that will end by itself."""
    workload = found["WorkloadReady"]
    return Verdict("True", workload.reason, workload.message) if workload.reason in PASSING else None


def stalled(found: Mapping[str, Verdict]) -> Verdict | None:
    """kstatus' sign that a person must act."""
    for kind in ("Accepted", "WorkloadReady"):
        verdict = found[kind]
        if verdict.status == "False" and verdict.reason not in PASSING:
            return Verdict("True", verdict.reason, verdict.message)
    if found["Streaming"].reason == Reason.RECONNECTS_EXHAUSTED:
        return Verdict("True", found["Streaming"].reason, found["Streaming"].message)
    return None


def health(found: Mapping[str, Verdict]) -> str:
    """One word for people: Healthy, Degraded (data flows, but something is amiss), Unhealthy, Unknown."""
    summary = found["Ready"]
    if summary.status == "Unknown":
        return "Unknown"
    if summary.status == "False":
        return "Unhealthy"
    if summary.reason == Reason.SUSPENDED:
        return "Healthy"
    whole = all(found[kind].status == "True" for kind in ("Complete", "WorkloadReady"))
    return "Healthy" if whole else "Degraded"


def live_streams(picture: Picture) -> tuple[int, int]:
    """How many of the wanted streams deliver, and how many are wanted; of replicas, one is enough."""
    if picture.wanted is None:
        return 0, 0
    spec = picture.wanted.spec
    wanted = set(spec.all_symbols)
    states = best_streams(picture)
    live = [s for s in states.values() if s.state in DELIVERING and s.symbol in wanted]
    total = len(wanted) * spec.streams_per_symbol
    return min(len(live), total), total


_ORDER = {"live": 0, "quiet": 1, "pending": 2, "stale": 3, "refused": 4}


def best_streams(picture: Picture) -> dict[str, Stream]:
    """Each reported stream in its best state over the replicas."""
    best: dict[str, Stream] = {}
    for report in picture.reports:
        for stream in report.streams:
            known = best.get(stream.name)
            if known is None or _ORDER.get(stream.state, 5) < _ORDER.get(known.state, 5):
                best[stream.name] = stream
    return best


def _merged(picture: Picture, is_meant: Callable[[Stream], bool]) -> list[Stream]:
    return [stream for _, stream in sorted(best_streams(picture).items()) if is_meant(stream)]


def _all_shards_report(picture: Picture) -> bool:
    return bool(picture.shards) and all(picture.reports_of(shard) for shard in picture.shards)


def _wanted_pods(wanted: Wanted) -> int:
    return 0 if wanted.spec.suspend else len(wanted.templates) * wanted.spec.replicas


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _some(items: Iterable[str]) -> str:
    """The first few of `items`, and how many more there are."""
    known = list(items)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more


def _cut(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:297]}..."
