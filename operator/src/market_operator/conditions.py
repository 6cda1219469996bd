"""The conditions: one small pure function each, from the picture to True, False or Unknown with reason and message.

Reasons are a closed list: a class attribute of Reason each. Precedence inside a condition is the order of the ifs.
"""

from collections.abc import Callable, Mapping, Sequence

from market_operator.desired import Wanted
from market_operator.observations import Look
from market_operator.picture import Picture
from market_operator.pods import Pod
from market_operator.reasons import PASSING, Reason, Verdict
from market_operator.reports import Stream
from market_operator.resource import Document
from market_operator.troubles import deployment_trouble, is_crash_looping, is_in_time, is_taken_up, pod_trouble
from market_operator.wording import number, some

DELIVERING = ("live", "quiet")
_NOT_CONNECTED = ("connecting", "backoff", "stopped")
# What can only be known from the collectors' reports.
_FROM_REPORTS = ("Accepted", "Streaming", "Complete", "SinksHealthy")
_CREDENTIALS = (Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_REFUSED)
# What the exchange said: it stands until the exchange says otherwise.
_REFUSALS = (*_CREDENTIALS, Reason.SYMBOL_NOT_FOUND, Reason.SUBSCRIPTION_REFUSED)


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
        found |= {kind: verdict for kind, verdict in picture.before.items() if _stands(kind, found)}
    progress = {"Reconciling": reconciling(found, picture), "Stalled": stalled(found, picture)}
    present = {kind: verdict for kind, verdict in progress.items() if verdict is not None}
    return {"Ready": ready(found, picture), **found, **present}


def _stands(kind: str, found: Mapping[str, Verdict]) -> bool:
    """Whether what was told before the first look stands; that a secret is missing is seen at the pod."""
    return kind in _FROM_REPORTS and found[kind].reason != Reason.SECRET_NOT_FOUND


def ready(found: Mapping[str, Verdict], picture: Picture) -> Verdict:
    """The summary: whether data flows as the resource says. An open gap shows in Complete and in the health alone."""
    inputs = [found[kind] for kind in ("Accepted", "WorkloadReady", "Streaming", "SinksHealthy")]
    if picture.is_suspended:
        return found["WorkloadReady"]
    if found["Streaming"].status == "True" and _is_passing(found["WorkloadReady"], picture):
        inputs.remove(found["WorkloadReady"])
    for status in ("False", "Unknown"):
        for verdict in inputs:
            if verdict.status == status:
                return verdict
    return Verdict("True", Reason.READY, found["Streaming"].message)


def _is_passing(workload: Verdict, picture: Picture) -> bool:
    """Whether what WorkloadReady lacks leaves the flow of data alone.

    Old pods or another replica deliver; or the write that failed for a moment was none that this generation needed,
    since it was Ready before.
    """
    before = picture.before.get("Ready")
    return workload.reason in PASSING or (picture.is_retrying and before is not None and before.status == "True")


def accepted(picture: Picture) -> Verdict:
    """Whether the exchange knows the symbols, and the secrets exist.

    Known for a generation, it stays known while nothing says otherwise.
    """
    if picture.invalid:
        return Verdict("False", Reason.INVALID_SPEC, picture.invalid)
    if picture.is_suspended:
        return Verdict("Unknown", Reason.SUSPENDED, "Nothing is asked of the exchange, because spec.suspend is true")
    if missing := _missing_secret(picture):
        return missing
    refused = _merged(picture, lambda stream: stream.state == "refused")
    if refused:
        return _refused(refused)
    streams = [stream for report in picture.reports for stream in report.streams]
    before = picture.before.get("Accepted")
    if streams and all(stream.state != "pending" for stream in streams) and _all_shards_report(picture):
        return _is_accepted(picture)
    if before and before.reason in _REFUSALS:
        return before
    if before and before.status == "True":
        return _is_accepted(picture)
    if not _all_shards_report(picture):
        return _not_reported(picture)
    return Verdict("Unknown", Reason.PENDING, "The exchange has not yet answered all subscriptions")


def _missing_secret(picture: Picture) -> Verdict | None:
    pods = [pod for shard in picture.shards for pod in picture.pods_of(shard)]
    troubles = [pod_trouble(pod, picture.now) for pod in pods]
    return next((each for each in troubles if each and each.reason == Reason.SECRET_NOT_FOUND), None)


def _is_accepted(picture: Picture) -> Verdict:
    spec = picture.wanted.spec if picture.wanted else None
    return Verdict("True", Reason.ACCEPTED, f"{spec.exchange if spec else 'The exchange'} accepted all subscriptions")


def _refused(refused: Sequence[Stream]) -> Verdict:
    unknown = sorted({stream.symbol for stream in refused if stream.reason.startswith(Reason.SYMBOL_NOT_FOUND)})
    if unknown:
        message = f"The exchange does not know {some(unknown)}; correct or remove it"
        return Verdict("False", Reason.SYMBOL_NOT_FOUND, message)
    for stream in refused:
        if stream.reason in _CREDENTIALS:
            return Verdict("False", stream.reason, f"{stream.name}: {stream.message or 'no API key'}")
    names = [f"{stream.name} ({stream.reason or 'no reason given'})" for stream in refused]
    return Verdict("False", Reason.SUBSCRIPTION_REFUSED, f"The exchange refused {some(names)}")


def workload_ready(picture: Picture) -> Verdict:
    """Whether all pods of the wanted version run, and no other.

    Their streams are not asked for: a pod that the kubelet calls not ready because the exchange is gone still runs.
    """
    if picture.wanted is None:
        return Verdict("Unknown", Reason.INVALID_SPEC, "Nothing is built from a spec that is not valid")
    if picture.failures:
        return _apply_failed(picture)
    if picture.is_suspended:
        return _suspended(picture)
    verdicts = [_shard_ready(picture, shard) for shard in picture.shards]
    bad = [verdict for verdict in verdicts if verdict.status != "True"]
    worst = [verdict for verdict in bad if verdict.reason not in PASSING] or bad
    if not worst:
        return Verdict("True", Reason.ALL_RUNNING, f"Wanted pods that run: {_wanted_pods(picture.wanted)}")
    return worst[0]


def _apply_failed(picture: Picture) -> Verdict:
    texts = [f"{failure.what}: {failure.error}" for failure in picture.failures]
    reason = Reason.QUOTA_EXCEEDED if any("exceeded quota" in text for text in texts) else Reason.APPLY_FAILED
    again = "; it is tried again" if picture.is_retrying else ""
    return Verdict("False", reason, f"Could not write {some(texts)}{again}")


def _suspended(picture: Picture) -> Verdict:
    left = [pod for pod in picture.pods if not pod.is_terminating]
    if left:
        message = f"{number(len(left), 'pod')} still to stop, because spec.suspend is true"
        return Verdict("False", Reason.ROLLING_OUT, message)
    return Verdict("True", Reason.SUSPENDED, "No pod runs, because spec.suspend is true")


def _shard_ready(picture: Picture, shard: int) -> Verdict:
    assert picture.wanted
    template, replicas = picture.wanted.templates[shard], picture.wanted.spec.replicas
    deployment, pods = picture.deployments.get(shard), picture.pods_of(shard)
    new = [pod for pod in pods if pod.template == template]
    old = [pod for pod in pods if pod.template != template]
    running = [pod for pod in new if pod.is_running and not is_crash_looping(pod, picture.now)]
    is_seen = deployment is None or is_taken_up(deployment)
    if len(running) >= replicas and not old and is_seen:
        return Verdict("True", Reason.ALL_RUNNING, "")
    if trouble := _trouble(picture, new, deployment):
        return trouble
    if not is_seen:
        return Verdict("False", Reason.ROLLING_OUT, f"Shard {shard}: Kubernetes has yet to take up what was written")
    if old:
        to_go = number(len(old), "old pod")
        message = f"Shard {shard}: {len(running)} of {replicas} new pods run, {to_go} still to go"
        return Verdict("False", Reason.ROLLING_OUT, message)
    return Verdict("False", Reason.PODS_NOT_READY, f"Shard {shard}: {len(running)} of {replicas} pods run")


def _trouble(picture: Picture, new: Sequence[Pod], deployment: Document | None) -> Verdict | None:
    """What keeps a shard's new pods from running or from getting ready: their own reason before the Deployment's."""
    found = [verdict for pod in new if (verdict := pod_trouble(pod, picture.now))]
    if found or deployment is None:
        return next(iter(found), None)
    waiting = [_why_not_ready(picture, pod) for pod in new if not pod.is_ready]
    return deployment_trouble(deployment, some(waiting) or "there is none yet")


def _why_not_ready(picture: Picture, pod: Pod) -> str:
    if not pod.is_running:
        return f"pod {pod.name} waits for its {pod.waiting or 'start'}; kubectl describe pod says for what"
    look = picture.looks.get(pod.uid, Look())
    why = look.problem or (look.report.reason if look.report else "") or "it has not said why"
    return f"pod {pod.name} runs but is not ready: {why}"


def streaming(picture: Picture) -> Verdict:
    """Whether every wanted stream is delivered by at least one replica, or its market is quiet."""
    if picture.wanted is None:
        return _not_wanted()
    if picture.is_suspended:
        return Verdict("False", Reason.SUSPENDED, "No stream is wanted, because spec.suspend is true")
    live, total = live_streams(picture)
    if live >= total:
        return Verdict("True", Reason.ALL_LIVE, f"{live} of {total} streams deliver")
    return _not_streaming(picture, live, total)


def _not_streaming(picture: Picture, live: int, total: int) -> Verdict:
    rest = _merged(picture, lambda stream: stream.state not in DELIVERING)
    counts = f"{live} of {total} streams deliver"
    for find in (_stopped, _disconnected, _not_running):
        if verdict := find(picture, counts):
            return verdict
    for state, reason, word in _STREAM_REASONS:
        names = [f"{stream.name}{_since(stream)}" for stream in rest if stream.state == state]
        if names:
            return Verdict("False", reason, f"{counts}; {word}: {some(names)}")
    message = f"{counts}; the collectors have not reported the others yet"
    return _unreachable(picture, counts) or Verdict("False", Reason.STREAMS_PENDING, message)


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
    return Verdict("False", Reason.COLLECTOR_NOT_RUNNING, f"{counts}; no collector runs for {word} {some(idle)}")


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
    if picture.wanted is None:
        return _not_wanted()
    if picture.is_suspended:
        return Verdict("Unknown", Reason.SUSPENDED, "Nothing is collected, because spec.suspend is true")
    if not _all_shards_report(picture):
        return _not_reported(picture)
    gaps = [gap for report in picture.reports for gap in report.gaps if gap.state == "open"]
    if gaps:
        names = sorted({gap.stream for gap in gaps})
        return Verdict("False", Reason.GAPS_OPEN, f"{number(len(gaps), 'hole')} open in {some(names)}")
    return Verdict("True", Reason.NO_GAPS_OPEN, "No hole is open")


def sinks_healthy(picture: Picture) -> Verdict:
    """Whether what is collected is also written."""
    if picture.wanted is None:
        return _not_wanted()
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
        return Verdict("False", Reason.SINK_FAILING, f"{number(len(failing), 'sink')} cannot write: {some(failing)}")
    if not _all_shards_report(picture):
        return _not_reported(picture)
    return Verdict("True", Reason.SINKS_WRITING, "All sinks take what they are given")


def _not_wanted() -> Verdict:
    return Verdict("Unknown", Reason.INVALID_SPEC, "No collector is wanted while the spec is not valid")


def _not_reported(picture: Picture) -> Verdict:
    lost = [found for shard in picture.shards for found in picture.unreachable(shard)]
    if lost:
        pod, look = lost[0]
        message = f"Could not look at pod {pod.name}: {look.problem}"
        return Verdict("Unknown", Reason.COLLECTOR_UNREACHABLE, message)
    return Verdict("Unknown", Reason.PENDING, "Not all collectors have reported yet")


def reconciling(found: Mapping[str, Verdict], picture: Picture) -> Verdict | None:
    """kstatus' sign that work is under way that may end by itself."""
    workload = found["WorkloadReady"]
    return Verdict("True", workload.reason, workload.message) if _is_under_way(workload, picture) else None


def _is_under_way(workload: Verdict, picture: Picture) -> bool:
    """Whether what WorkloadReady lacks may come without anybody's help.

    A node that is being added, a secret that is made a moment later, a registry that was busy: as long as Kubernetes
    gives a roll-out time, so do we, for tools give up on a resource at the first Stalled.
    """
    if workload.status != "False":
        return False
    if picture.failures:
        return picture.is_retrying
    rolling = [picture.deployments[shard] for shard in picture.shards if shard in picture.deployments]
    return workload.reason in PASSING or any(map(is_in_time, rolling))


def stalled(found: Mapping[str, Verdict], picture: Picture) -> Verdict | None:
    """kstatus' sign that a person must act."""
    symbols, workload, streams = found["Accepted"], found["WorkloadReady"], found["Streaming"]
    if symbols.status == "False" and symbols.reason != Reason.SECRET_NOT_FOUND:
        return Verdict("True", symbols.reason, symbols.message)
    if workload.status == "False" and not _is_under_way(workload, picture):
        return Verdict("True", workload.reason, workload.message)
    if streams.reason == Reason.RECONNECTS_EXHAUSTED:
        return Verdict("True", streams.reason, streams.message)
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
    wanted = spec.subjects
    states = best_streams(picture)
    live = [s for s in states.values() if s.state in DELIVERING and s.symbol in wanted]
    total = spec.stream_count
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
