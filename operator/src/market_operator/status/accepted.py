"""The condition Accepted."""

from collections.abc import Sequence

from market_operator.observed.reported_streams import Stream
from market_operator.status.diagnosis import pod_problem
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Snapshot, all_shards_report, not_reported
from market_operator.status.streams import select_streams
from market_operator.status.text import listed, shortened

_CREDENTIALS = (Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_REFUSED)
# Refusals stay until the exchange accepts the subscriptions.
_REFUSALS = (*_CREDENTIALS, Reason.SYMBOL_NOT_FOUND, Reason.SUBSCRIPTION_REFUSED)


def accepted(snapshot: Snapshot) -> ConditionState:
    """Whether the exchange accepts the symbols and the API key, and the Secret exists.

    Once known for a generation, it stays until a report or a pod contradicts it.
    """
    if snapshot.invalid:
        return ConditionState("False", snapshot.invalid_reason, snapshot.invalid)
    if snapshot.is_suspended:
        return ConditionState("Unknown", Reason.SUSPENDED, "No subscription is sent because spec.suspend is true")
    if missing := _missing_secret(snapshot):
        return missing
    # Pods of an older version say nothing about this one: it may no longer have the symbol that they are refused.
    refused = select_streams(snapshot.only(snapshot.is_current), lambda stream: stream.state == "refused")
    if refused:
        return _refused(refused)
    streams = [stream for report in snapshot.reports for stream in report.streams]
    before = snapshot.before.get("Accepted")
    if streams and all(stream.state != "pending" for stream in streams) and all_shards_report(snapshot):
        return _is_accepted(snapshot)
    if before and before.reason in _REFUSALS:
        return before
    if before and before.status == "True":
        return _is_accepted(snapshot)
    if not all_shards_report(snapshot):
        return not_reported(snapshot)
    return ConditionState("Unknown", Reason.PENDING, "The exchange has not yet answered all subscriptions")


def _missing_secret(snapshot: Snapshot) -> ConditionState | None:
    pods = [pod for shard in snapshot.shards for pod in snapshot.pods_of(shard)]
    diagnoses = [pod_problem(pod, snapshot.now) for pod in pods]
    return next((each for each in diagnoses if each and each.reason == Reason.SECRET_NOT_FOUND), None)


def _is_accepted(snapshot: Snapshot) -> ConditionState:
    spec = snapshot.desired.spec if snapshot.desired else None
    return ConditionState(
        "True", Reason.ACCEPTED, f"{spec.exchange if spec else 'The exchange'} accepted all subscriptions"
    )


def _refused(refused: Sequence[Stream]) -> ConditionState:
    unknown = [stream for stream in refused if stream.reason.startswith(Reason.SYMBOL_NOT_FOUND)]
    if unknown:
        symbols = listed(sorted({stream.symbol for stream in unknown}))
        message = f"The exchange does not list {symbols}{_exchange_message(unknown[0])}. Correct or remove the symbol"
        return ConditionState("False", Reason.SYMBOL_NOT_FOUND, message)
    for stream in refused:
        if stream.reason in _CREDENTIALS:
            return ConditionState("False", stream.reason, f"{stream.name}: {stream.message or 'no API key'}")
    names = [f"{stream.name} ({stream.reason or 'no reason given'})" for stream in refused]
    message = f"The exchange refused {listed(names)}{_exchange_message(refused[0])}"
    return ConditionState("False", Reason.SUBSCRIPTION_REFUSED, message)


def _exchange_message(stream: Stream) -> str:
    """The exchange's own words."""
    return f" ({shortened(stream.message)})" if stream.message else ""
