"""Kubernetes Events about changed conditions. Pure.

An Event is written when a problem starts, when it ends, and when Ready changes. Unchanged conditions, normal starts and
counters write none. Conditions that change for the same reason share an Event.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import MANAGER, label_value
from market_operator.status.reasons import is_problem
from market_operator.status.text import shortened
from market_spec.api import API_VERSION, KIND
from market_spec.messages import escaped

# Limits of the API server, in characters.
_LONGEST_NOTE = 1024
_LONGEST_INSTANCE = 128
_REPEATED_AFTER_S = 600


@dataclass(frozen=True, slots=True)
class ConditionEvent:
    """The conditions of one Event: they changed with the same reason and message."""

    conditions: tuple[Document, ...]

    @property
    def is_warning(self) -> bool:
        """Whether a condition reports a problem."""
        return any(map(_is_problem, self.conditions))


def condition_events(before: Iterable[Document], after: Iterable[Document]) -> tuple[ConditionEvent, ...]:
    """The Events to write when the stored conditions `before` become `after`."""
    known = {each["type"]: each for each in before}
    changed: dict[tuple[str, str], list[Document]] = {}
    for condition in after:
        if _is_worth_an_event(known.get(condition["type"]), condition):
            changed.setdefault((condition["reason"], condition["message"]), []).append(condition)
    return tuple(ConditionEvent(tuple(conditions)) for conditions in changed.values())


def _is_worth_an_event(before: Document | None, after: Document) -> bool:
    is_changed = before is None or before["status"] != after["status"]
    was_trouble = before is not None and _is_problem(before)
    if _is_problem(after):
        return is_changed or not was_trouble
    if after["status"] == "True":
        return is_changed and (was_trouble or after["type"] == "Ready")
    return after["type"] == "Ready" and before is not None and before["status"] == "True"


def _is_problem(condition: Document) -> bool:
    return is_problem(condition["type"], condition["status"], condition["reason"])


def event(condition_event: ConditionEvent, resource: Resource, instance: str, now: float) -> Document:
    """The Event (events.k8s.io/v1). Its name is a hash of its content, so a repeated write creates no second one."""
    changed = [tuple(each[part] for part in _IDENTITY) for each in condition_event.conditions]
    return _event(resource, changed, instance, now) | {
        "type": "Warning" if condition_event.is_warning else "Normal",
        "reason": condition_event.conditions[0]["reason"],
        "action": "ConditionTurned",
        "note": _cut(_note(condition_event)),
    }


def warning(reason: str, note: str, resource: Resource, instance: str, now: float) -> Document:
    """The Event about something that no condition shows. The same one is written once in 10 minutes."""
    return _event(resource, (reason, note, now // _REPEATED_AFTER_S), instance, now) | {
        "type": "Warning",
        "reason": reason,
        "action": reason,
        "note": _cut(note),
    }


def _event(resource: Resource, identity: object, instance: str, now: float) -> Document:
    digest = hashlib.sha256(repr((resource.uid, identity)).encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{label_value(resource.key.name)}.{digest}", "namespace": resource.key.namespace},
        "eventTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
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


_IDENTITY = ("type", "status", "reason", "lastTransitionTime")


def _note(condition_event: ConditionEvent) -> str:
    """Such as `Ready False, WorkloadReady False, Stalled True: Pod okx-btc-0-x restarted 3 times: ...`."""
    changed = ", ".join(f"{each['type']} {each['status']}" for each in condition_event.conditions)
    return f"{changed}: {condition_event.conditions[0]['message']}"


def _cut(note: str) -> str:
    return shortened(escaped(note), _LONGEST_NOTE)
