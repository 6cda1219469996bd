"""Kubernetes Events: what `kubectl describe` and alerts on Events are told of a condition's turn. Pure.

An Event is worth writing when trouble begins in a condition, when it ends, and when Ready turns. What stays, what
passes by itself (pods that start) and counters are none. Conditions that turn together for one reason share an Event,
since Ready and Stalled repeat what another condition found.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import MANAGER, label_value
from market_operator.status.reasons import is_trouble
from market_spec.api import API_VERSION, KIND

# Limits of the API server, in characters.
_LONGEST_NOTE = 1024
_LONGEST_INSTANCE = 128


@dataclass(frozen=True, slots=True)
class Announcement:
    """One Event to be: the conditions that turned, all for the same reason and with the same words."""

    conditions: tuple[Document, ...]

    @property
    def is_warning(self) -> bool:
        """Whether it tells of trouble."""
        return any(map(_is_trouble, self.conditions))


def announcements(before: Iterable[Document], after: Iterable[Document]) -> tuple[Announcement, ...]:
    """What is to be told when the conditions `before` (as stored) become those `after`."""
    known = {each["type"]: each for each in before}
    turned: dict[tuple[str, str], list[Document]] = {}
    for condition in after:
        if _is_worth_telling(known.get(condition["type"]), condition):
            turned.setdefault((condition["reason"], condition["message"]), []).append(condition)
    return tuple(Announcement(tuple(conditions)) for conditions in turned.values())


def _is_worth_telling(before: Document | None, after: Document) -> bool:
    has_turned = before is None or before["status"] != after["status"]
    was_trouble = before is not None and _is_trouble(before)
    if _is_trouble(after):
        return has_turned or not was_trouble
    if after["status"] == "True":
        return has_turned and (was_trouble or after["type"] == "Ready")
    return after["type"] == "Ready" and before is not None and before["status"] == "True"


def _is_trouble(condition: Document) -> bool:
    return is_trouble(condition["type"], condition["status"], condition["reason"])


def event(announcement: Announcement, resource: Resource, instance: str, now: float) -> Document:
    """The Event (events.k8s.io/v1). Its name is made from what it tells, so that telling it twice makes only one."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": _name(announcement, resource), "namespace": resource.key.namespace},
        "eventTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Warning" if announcement.is_warning else "Normal",
        "reason": announcement.conditions[0]["reason"],
        "action": "ConditionTurned",
        "note": _note(announcement),
        "reportingController": MANAGER,
        "reportingInstance": instance[:_LONGEST_INSTANCE],
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": resource.key.namespace,
            "name": resource.key.name,
            "uid": resource.uid,
        },
    }


def _name(announcement: Announcement, resource: Resource) -> str:
    told = [tuple(each[part] for part in _IDENTITY) for each in announcement.conditions]
    digest = hashlib.sha256(repr((resource.uid, told)).encode()).hexdigest()[:16]
    return f"{label_value(resource.key.name)}.{digest}"


_IDENTITY = ("type", "status", "reason", "lastTransitionTime")


def _note(announcement: Announcement) -> str:
    """Such as `Ready False, WorkloadReady False, Stalled True: Pod okx-btc-0-x ended 3 times: ...`."""
    turned = ", ".join(f"{each['type']} {each['status']}" for each in announcement.conditions)
    note = f"{turned}: {announcement.conditions[0]['message']}"
    return note if len(note) <= _LONGEST_NOTE else f"{note[: _LONGEST_NOTE - 3]}..."
