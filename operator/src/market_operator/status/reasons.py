"""The closed list of condition reasons. docs/status.md explains each; a test compares both."""

from dataclasses import dataclass
from typing import Literal

State = Literal["True", "False", "Unknown"]


class Reason:
    """All reasons of all conditions. Users' scripts and alerts rely on them."""

    ACCEPTED = "Accepted"
    ALL_LIVE = "AllStreamsLive"
    ALL_RUNNING = "AllPodsRunning"
    APPLY_FAILED = "ApplyFailed"
    CHANGED_BY_OTHERS = "ChangedByOthers"
    COLLECTOR_UNREACHABLE = "CollectorUnreachable"
    COLLECTOR_NOT_RUNNING = "CollectorNotRunning"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    CRASH_LOOPING = "CrashLooping"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    DISCONNECTED = "Disconnected"
    EVICTED = "Evicted"
    GAPS_OPEN = "GapsOpen"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    INTERNAL_ERROR = "InternalError"
    INVALID_SPEC = "InvalidSpec"
    NO_GAPS_OPEN = "NoGapsOpen"
    NOT_ALLOWED = "NotAllowed"
    OOM_KILLED = "OOMKilled"
    PAUSED = "Paused"
    PENDING = "Pending"
    PODS_FAILED = "PodsFailed"
    PODS_NOT_READY = "PodsNotReady"
    PODS_REFUSED = "PodsRefused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    READY = "Ready"
    RECONNECTS_EXHAUSTED = "ReconnectsExhausted"
    REGION_RESTRICTED = "RegionRestricted"
    ROLLING_OUT = "RollingOut"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - the name of a reason
    SINK_FAILING = "SinkFailing"
    SINKS_WRITING = "SinksWriting"
    STREAMS_PENDING = "StreamsPending"
    STREAMS_REFUSED = "StreamsRefused"
    STREAMS_STALE = "StreamsStale"
    STREAMS_UNKNOWN = "StreamsUnknown"
    SUBSCRIPTION_REFUSED = "SubscriptionRefused"
    SUSPENDED = "Suspended"
    SYMBOL_NOT_FOUND = "SymbolNotFound"
    UNSCHEDULABLE = "Unschedulable"


# Reasons of WorkloadReady that leave Ready alone while data flows: old pods or another replica still deliver.
PASSING = (Reason.ROLLING_OUT, Reason.PODS_NOT_READY)
# Reasons of a normal start, change or suspension.
_ORDINARY = (
    *PASSING,
    Reason.PAUSED,
    Reason.PENDING,
    Reason.STREAMS_PENDING,
    Reason.COLLECTOR_NOT_RUNNING,
    Reason.SUSPENDED,
)


@dataclass(frozen=True, slots=True)
class ConditionState:
    """The current state of one condition."""

    status: State
    reason: str
    message: str


def is_problem(kind: str, status: str, reason: str) -> bool:
    """Whether a condition of type `kind` reports a problem that a person should see at once."""
    if kind in ("Stalled", "Reconciling"):
        return kind == "Stalled"
    return status != "True" and reason not in _ORDINARY
