"""Make before break for streams: which shards must stay as they are until others deliver their streams. Pure."""

from collections.abc import Collection, Iterable, Mapping

from market_operator.manifests.deployment import MIN_READY_SECONDS
from market_operator.manifests.desired_state import DesiredState, stream_names
from market_operator.observed.cache import Observed
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.reconcile.plan import deployments, is_rolled_out
from market_operator.status.streams import DELIVERING

UNREADY_FOR_S = 30.0
"""How long a change waits for a pod that delivers but is not ready."""


def held_shards(
    desired: DesiredState, observed: Observed, probes: Mapping[str, ProbeResult], now: float
) -> frozenset[int]:
    """The shards whose Deployment must not change yet.

    A shard that loses a stream to another one stays until that one delivers it. So does a shard in a rollout, whose old
    pods deliver but are not available. At one more change, a Deployment controller would remove such pods first.

    After a start of the operator, nothing is known about the pods until they are probed. Meanwhile a shard stays if the
    number of shards changes.
    """
    if desired.spec.suspend:
        return frozenset()
    streams = desired.streams
    delivered = {pod.uid: _delivered(pod, probes) for pod in observed.pods}
    is_scaled = {pod.shard for pod in observed.pods if pod.is_running} != set(range(len(desired.symbols)))
    return frozenset(
        shard
        for shard, deployment in deployments(observed).items()
        if (is_scaled and _is_unprobed(shard, observed.pods, probes))
        or _waits_for_others(shard, desired, streams, observed.pods, delivered)
        or (not is_rolled_out(deployment) and _waits_for_own(shard, desired, observed.pods, delivered, now))
    )


def _delivered(pod: Pod, probes: Mapping[str, ProbeResult]) -> frozenset[str]:
    report = probes.get(pod.uid, ProbeResult()).report
    if report is None or not pod.is_running or pod.is_terminating:
        return frozenset()
    return frozenset(stream.name for stream in report.streams if stream.state in DELIVERING)


def _is_unprobed(shard: int, pods: Iterable[Pod], probes: Mapping[str, ProbeResult]) -> bool:
    """Whether a pod of the shard is about to be probed for the first time."""
    running = (pod for pod in pods if pod.shard == shard and pod.is_running and not pod.is_terminating)
    return any(pod.ip and pod.uid not in probes for pod in running)


def _waits_for_others(
    shard: int,
    desired: DesiredState,
    streams: frozenset[str],
    pods: Iterable[Pod],
    delivered: Mapping[str, Collection[str]],
) -> bool:
    """Whether other shards do not yet deliver what this one loses to them. A shard that gains streams never waits."""
    of_shard, of_others = set[str](), set[str]()
    for pod in pods:
        (of_shard if pod.shard == shard else of_others).update(delivered[pod.uid])
    kept = set(stream_names(desired.spec, desired.symbols[shard])) if shard < len(desired.symbols) else set[str]()
    moved = (of_shard & streams) - kept
    gains = bool((kept - of_shard) & of_others)
    return bool(moved - of_others) and not gains


def _waits_for_own(
    shard: int, desired: DesiredState, pods: Iterable[Pod], delivered: Mapping[str, Collection[str]], now: float
) -> bool:
    template = desired.templates[shard] if shard < len(desired.templates) else ""
    old = [pod for pod in pods if pod.shard == shard and delivered[pod.uid] and pod.template != template]
    return any(now - pod.ready_changed_at < (MIN_READY_SECONDS + 1 if pod.is_ready else UNREADY_FOR_S) for pod in old)
