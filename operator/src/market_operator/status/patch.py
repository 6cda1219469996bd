"""The merge patch from the stored status to the new one, and whether it may wait."""

from dataclasses import dataclass
from typing import Any

from market_operator.resource.document import Document
from market_operator.resource.status import Status

# Fields that wait for the counter interval if nothing else changed. `gaps` waits unless the number of open gaps
# changed. Conditions wait if only their messages changed, since these contain counts.
_DEFERRABLE = {
    *("messages", "records", "reconnections", "resyncs", "skippedUpdates", "droppedRecords", "unreadableFrames"),
    *("lastMessageTime", "lastReconnect", "shardStatuses", "unhealthyStreams"),
}
# Fields that are written even when the API server refuses the others.
_ESSENTIAL = ("observedGeneration", "conditions", "health")
_FIELDS = {field.alias for field in Status.model_fields.values()}


@dataclass(frozen=True, slots=True)
class Change:
    """A merge patch ({}: nothing to write). `is_counting`: only counters changed."""

    patch: Document
    is_counting: bool


def change(old: Document, new: Document) -> Change:
    """The change from `old` to `new`. Fields that a later release wrote before a rollback stay."""
    patch = merge_patch(_known(old, new), _with_later_counters(old, new))
    urgent = set(patch) - _DEFERRABLE
    if "open" not in (patch.get("gaps") or {"open": None}):
        urgent.discard("gaps")
    if _without_messages(old) == _without_messages(new):
        urgent.discard("conditions")
    return Change(patch, is_counting=not urgent)


def essential(patch: Document) -> Document:
    """The part of a patch that says whether data flows."""
    return {name: patch[name] for name in _ESSENTIAL if name in patch}


def _without_messages(status: Document) -> list[tuple[object, ...]]:
    """The conditions without their messages."""
    return [
        tuple(value for key, value in sorted(each.items()) if key != "message") for each in status.get("conditions", ())
    ]


def _known(old: Document, new: Document) -> Document:
    """`old` without fields that this release does not know."""
    known = {name: value for name, value in old.items() if name in _FIELDS}
    inner = {name: value for name, value in known.items() if isinstance(value, dict) and name in new}
    return known | {name: {key: value[key] for key in value if key in new[name]} for name, value in inner.items()}


def _with_later_counters(old: Document, new: Document) -> Document:
    """`new` with the counters of a later release added, because a merge patch replaces whole lists."""
    before = {each["shard"]: each for each in old.get("shardStatuses", ())}
    statuses = [
        _with_later_shard_counters(before.get(each["shard"], {}), each) for each in new.get("shardStatuses", ())
    ]
    return {**new, "shardStatuses": statuses} if statuses else new


def _with_later_shard_counters(old: Document, new: Document) -> Document:
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
