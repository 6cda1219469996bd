"""The condition Accepted."""

from collections.abc import Sequence

from market_operator.observed.reports import Stream
from market_operator.status.diagnosis import pod_trouble
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Snapshot, all_shards_report, not_reported
from market_operator.status.streams import merge_streams
from market_operator.status.text import some

_CREDENTIALS = (Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_REFUSED)
# What the exchange said: it stands until the exchange says otherwise.
_REFUSALS = (*_CREDENTIALS, Reason.SYMBOL_NOT_FOUND, Reason.SUBSCRIPTION_REFUSED)


def accepted(picture: Snapshot) -> ConditionState:
    """Whether the exchange knows the symbols, and the secrets exist.

    Known for a generation, it stays known while nothing says otherwise.
    """
    if picture.invalid:
        return ConditionState("False", Reason.INVALID_SPEC, picture.invalid)
    if picture.is_suspended:
        return ConditionState(
            "Unknown", Reason.SUSPENDED, "Nothing is asked of the exchange, because spec.suspend is true"
        )
    if missing := _missing_secret(picture):
        return missing
    refused = merge_streams(picture, lambda stream: stream.state == "refused")
    if refused:
        return _refused(refused)
    streams = [stream for report in picture.reports for stream in report.streams]
    before = picture.before.get("Accepted")
    if streams and all(stream.state != "pending" for stream in streams) and all_shards_report(picture):
        return _is_accepted(picture)
    if before and before.reason in _REFUSALS:
        return before
    if before and before.status == "True":
        return _is_accepted(picture)
    if not all_shards_report(picture):
        return not_reported(picture)
    return ConditionState("Unknown", Reason.PENDING, "The exchange has not yet answered all subscriptions")


def _missing_secret(picture: Snapshot) -> ConditionState | None:
    pods = [pod for shard in picture.shards for pod in picture.pods_of(shard)]
    troubles = [pod_trouble(pod, picture.now) for pod in pods]
    return next((each for each in troubles if each and each.reason == Reason.SECRET_NOT_FOUND), None)


def _is_accepted(picture: Snapshot) -> ConditionState:
    spec = picture.wanted.spec if picture.wanted else None
    return ConditionState(
        "True", Reason.ACCEPTED, f"{spec.exchange if spec else 'The exchange'} accepted all subscriptions"
    )


def _refused(refused: Sequence[Stream]) -> ConditionState:
    unknown = sorted({stream.symbol for stream in refused if stream.reason.startswith(Reason.SYMBOL_NOT_FOUND)})
    if unknown:
        message = f"The exchange does not know {some(unknown)}; correct or remove it"
        return ConditionState("False", Reason.SYMBOL_NOT_FOUND, message)
    for stream in refused:
        if stream.reason in _CREDENTIALS:
            return ConditionState("False", stream.reason, f"{stream.name}: {stream.message or 'no API key'}")
    names = [f"{stream.name} ({stream.reason or 'no reason given'})" for stream in refused]
    return ConditionState("False", Reason.SUBSCRIPTION_REFUSED, f"The exchange refused {some(names)}")
