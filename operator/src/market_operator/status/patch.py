"""Which status fields changed, and the merge patch that writes them."""

from dataclasses import dataclass
from typing import Any

from market_operator.resource.document import Document
from market_operator.resource.status import Status

# What may wait for the counter interval when nothing else changed. Of `gaps` all but the number of open ones may, of
# conditions their sentences alone, which say how many records wait or which attempt it is, and so change all the time.
_MAY_WAIT = {
    *("messages", "records", "reconnections", "resyncs", "skippedUpdates", "droppedRecords", "unreadableFrames"),
    *("lastMessageTime", "lastReconnect", "shardStatuses", "unhealthyStreams"),
}
_FIELDS = {field.alias for field in Status.model_fields.values()}


@dataclass(frozen=True, slots=True)
class Change:
    """The patch for a status ({}: nothing to write), and whether it is about counters alone."""

    patch: Document
    is_counting: bool


def change(old: Document, new: Document) -> Change:
    """What to write so that `old` becomes `new`. What a later release wrote, before it was rolled back, stays."""
    patch = merge_patch(_known(old, new), _with_later_counters(old, new))
    urgent = set(patch) - _MAY_WAIT
    if "open" not in (patch.get("gaps") or {"open": None}):
        urgent.discard("gaps")
    if _turns(old) == _turns(new):
        urgent.discard("conditions")
    return Change(patch, is_counting=not urgent)


def _turns(status: Document) -> list[tuple[object, ...]]:
    """All of the conditions but their sentences."""
    return [
        tuple(value for key, value in sorted(each.items()) if key != "message") for each in status.get("conditions", ())
    ]


def _known(old: Document, new: Document) -> Document:
    """`old` without the fields that this release has no name for."""
    known = {name: value for name, value in old.items() if name in _FIELDS}
    inner = {name: value for name, value in known.items() if isinstance(value, dict) and name in new}
    return known | {name: {key: value[key] for key in value if key in new[name]} for name, value in inner.items()}


def _with_later_counters(old: Document, new: Document) -> Document:
    """`new` with the counters that only a later release knows: lists are written as a whole, not field by field."""
    before = {each["shard"]: each for each in old.get("shardStatuses", ())}
    statuses = [_later_shard(before.get(each["shard"], {}), each) for each in new.get("shardStatuses", ())]
    return {**new, "shardStatuses": statuses} if statuses else new


def _later_shard(old: Document, new: Document) -> Document:
    epochs = {each["epoch"]: each for each in old.get("epochs", ())}
    return {
        **old,
        **new,
        "base": {**old.get("base", {}), **new["base"]},
        "epochs": [{**epochs.get(each["epoch"], {}), **each} for each in new["epochs"]],
    }


def merge_patch(old: Document, new: Document) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from `old` to `new`."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            if inner := merge_patch(old[key], value):
                patch[key] = inner
        elif key not in old or old[key] != value:
            patch[key] = value
    return patch
