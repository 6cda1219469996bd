"""A small record of a container in a pod's status."""

from dataclasses import dataclass
from datetime import datetime

from market_operator.resource.document import Document

WORDS_LIMIT = 1_000
"""Longest message of Kubernetes that is kept. A status shows 300 characters of it."""


@dataclass(frozen=True, slots=True)
class Container:
    """The state of a container. Strings are empty if Kubernetes has no value.

    `started_at` is its start (seconds since 1970, 0 if it does not run). `last_run` is the length of the previous run
    in seconds. `waiting` is the reason why it waits. `ended` is the reason of its last end, such as "OOMKilled, exit
    code 137". `termination_messages` are those of the previous and the current run.
    """

    name: str
    is_running: bool
    restarts: int
    started_at: float
    last_run: float
    waiting: str
    waiting_message: str
    ended: str
    termination_messages: tuple[str, ...]


def read_container(status: Document) -> Container:
    """The record of a containerStatus; of an empty one, a container that has not started."""
    state, before = status.get("state", {}), status.get("lastState", {})
    ended = state.get("terminated") or before.get("terminated") or {}
    return Container(
        name=status.get("name", ""),
        is_running="running" in state and bool(status.get("started")),
        restarts=status.get("restartCount", 0),
        started_at=seconds(state.get("running", {}).get("startedAt")),
        last_run=seconds(ended.get("finishedAt")) - seconds(ended.get("startedAt")),
        waiting=state.get("waiting", {}).get("reason", ""),
        waiting_message=state.get("waiting", {}).get("message", "")[:WORDS_LIMIT],
        ended=_ended(ended),
        termination_messages=tuple(
            message for each in (before, state) if (message := each.get("terminated", {}).get("message", ""))
        ),
    )


def is_completed(status: Document) -> bool:
    """Whether a container ended well and is not started again, as an init container does."""
    return bool(status.get("state", {}).get("terminated", {}).get("exitCode") == 0)


def seconds(time: str | None) -> float:
    """A time of Kubernetes in seconds since 1970, 0 without one."""
    return datetime.fromisoformat(time).timestamp() if time else 0.0


def _ended(terminated: Document) -> str:
    if not terminated:
        return ""
    return f"{terminated.get('reason', 'ended')}, exit code {terminated.get('exitCode', 'unknown')}"
