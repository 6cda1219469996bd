"""The closed list of reasons, and what a condition says. docs/conditions.md explains each, and a test compares both."""

from dataclasses import dataclass
from typing import Literal

State = Literal["True", "False", "Unknown"]


class Reason:
    """All reasons of all conditions; users' scripts and alerts may rely on them."""

    ACCEPTED = "Accepted"
    ALL_LIVE = "AllStreamsLive"
    ALL_RUNNING = "AllPodsRunning"
    APPLY_FAILED = "ApplyFailed"
    COLLECTOR_UNREACHABLE = "CollectorUnreachable"
    COLLECTOR_NOT_RUNNING = "CollectorNotRunning"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    CRASH_LOOPING = "CrashLooping"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    DISCONNECTED = "Disconnected"
    GAPS_OPEN = "GapsOpen"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    INVALID_SPEC = "InvalidSpec"
    NO_GAPS_OPEN = "NoGapsOpen"
    OOM_KILLED = "OOMKilled"
    PENDING = "Pending"
    PODS_NOT_READY = "PodsNotReady"
    PODS_REFUSED = "PodsRefused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    READY = "Ready"
    RECONNECTS_EXHAUSTED = "ReconnectsExhausted"
    ROLLING_OUT = "RollingOut"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - the name of a reason
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
# What a resource that starts, changes or rests goes through: no trouble.
_ORDINARY = (*PASSING, Reason.PENDING, Reason.STREAMS_PENDING, Reason.COLLECTOR_NOT_RUNNING, Reason.SUSPENDED)


@dataclass(frozen=True, slots=True)
class ConditionState:
    """What a condition says now."""

    status: State
    reason: str
    message: str


def is_trouble(kind: str, status: str, reason: str) -> bool:
    """Whether a condition of type `kind` tells of something that somebody should know at once."""
    if kind in ("Stalled", "Reconciling"):
        return kind == "Stalled"
    return status != "True" and reason not in _ORDINARY
