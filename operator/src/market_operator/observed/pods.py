"""A small record of each collector pod, since there may be ten thousand."""

import sys
from dataclasses import dataclass
from datetime import datetime

from market_operator.resource.document import Document
from market_operator.resource.naming import (
    COLLECTOR_LABEL,
    CONTAINER,
    RESOURCE_ANNOTATION,
    SHARD_LABEL,
    TEMPLATE_ANNOTATION,
    Key,
)


@dataclass(frozen=True, slots=True)
class Pod:
    """A collector pod. Strings are empty if Kubernetes has no value.

    `started_at` is the start of its container (seconds since 1970, 0 if it does not run). `last_run` is the length of
    the previous run in seconds. `waiting` is the reason why the container waits. `ended` is the reason of its last end,
    such as "OOMKilled, exit code 137". `termination_messages` are those of the current and the previous run.
    """

    key: Key
    name: str
    uid: str
    version: int
    shard: int
    template: str
    ip: str
    node: str
    is_terminating: bool
    is_running: bool
    is_ready: bool
    restarts: int
    started_at: float
    last_run: float
    waiting: str
    waiting_message: str
    ended: str
    unschedulable: str
    configmaps: tuple[str, ...]
    termination_messages: tuple[str, ...]


def read_pod(document: Document) -> Pod:
    """The record of a pod with our labels. Strings that many pods share are interned."""
    meta, status = document["metadata"], document.get("status", {})
    container = _container(status)
    state, before = container.get("state", {}), container.get("lastState", {})
    ended = state.get("terminated") or before.get("terminated") or {}
    return Pod(
        key=owner_key(document),
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        shard=_number(meta.get("labels", {}).get(SHARD_LABEL, "")),
        template=meta.get("annotations", {}).get(TEMPLATE_ANNOTATION, ""),
        ip=status.get("podIP", ""),
        node=sys.intern(document.get("spec", {}).get("nodeName", "")),
        is_terminating="deletionTimestamp" in meta or status.get("phase") in ("Failed", "Succeeded"),
        is_running="running" in state and bool(container.get("started")),
        is_ready=_condition(status, "Ready").get("status") == "True",
        restarts=container.get("restartCount", 0),
        started_at=_seconds(state.get("running", {}).get("startedAt")),
        last_run=_seconds(ended.get("finishedAt")) - _seconds(ended.get("startedAt")),
        waiting=state.get("waiting", {}).get("reason", ""),
        waiting_message=state.get("waiting", {}).get("message", ""),
        ended=_ended(ended),
        unschedulable=sys.intern(_unschedulable(status)),
        configmaps=_configmaps(document),
        termination_messages=tuple(
            message for each in (before, state) if (message := each.get("terminated", {}).get("message", ""))
        ),
    )


def owner_key(document: Document) -> Key:
    """Key of the resource that a managed object belongs to. Long names are in an annotation, since labels are short."""
    meta = document["metadata"]
    name = meta.get("annotations", {}).get(RESOURCE_ANNOTATION) or meta.get("labels", {}).get(COLLECTOR_LABEL, "")
    return Key.of(meta["namespace"], name)


def _container(status: Document) -> Document:
    found = [container for container in status.get("containerStatuses", ()) if container.get("name") == CONTAINER]
    return found[0] if found else {}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else -1


def _condition(status: Document, kind: str) -> Document:
    found = [condition for condition in status.get("conditions", ()) if condition.get("type") == kind]
    return found[0] if found else {}


def _seconds(time: str | None) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0.0


def _ended(terminated: Document) -> str:
    if not terminated:
        return ""
    return f"{terminated.get('reason', 'ended')}, exit code {terminated.get('exitCode', 'unknown')}"


def _unschedulable(status: Document) -> str:
    scheduled = _condition(status, "PodScheduled")
    return scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else ""


def _configmaps(document: Document) -> tuple[str, ...]:
    volumes = document.get("spec", {}).get("volumes", ())
    return tuple(volume["configMap"]["name"] for volume in volumes if "configMap" in volume)
