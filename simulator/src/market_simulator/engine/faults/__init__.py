"""Injected faults.

Every outgoing frame passes through `Faults.outgoing`. Handshakes, subscriptions, REST calls and market events ask
`Faults.next` for a fault that affects them. This package uses no socket and no clock: times are seconds of a
monotonic clock, passed as arguments.
"""

from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from math import inf, isinf
from typing import Any, Protocol, TypeVar

from market_simulator.engine.faults.market import Crossed
from market_simulator.engine.faults.messages import (
    MESSAGE_FAULTS,
    SWALLOWING,
    Kind,
    Lose,
    MessageFault,
    Outgoing,
    Reorder,
    Silence,
)
from market_simulator.engine.faults.swallowed import Ledger
from market_simulator.engine.faults.turns import Turns
from market_simulator.engine.faults.words import Words


class Fault(Protocol):
    """A fault with the occasions on which it acts."""

    @property
    def turns(self) -> Turns: ...


_Fault = TypeVar("_Fault", bound=Fault)


class Faults:
    """The active faults in the order in which they act; faults of one kind in the order of the requests."""

    def __init__(self, words: Words) -> None:
        self.active: list[Fault] = []
        self.swallowed = Ledger(words)

    def add(self, fault: Fault) -> None:
        self.active.append(fault)
        self.active.sort(
            key=lambda fault: MESSAGE_FAULTS.index(type(fault)) if isinstance(fault, MESSAGE_FAULTS) else -1
        )

    def outgoing(self, now: float, message: Outgoing) -> tuple[Outgoing, ...]:
        """The messages to send instead of this one: none, the same, or changed ones."""
        if not self.active:
            return (message,)
        self._forget(now)
        passing: tuple[Outgoing, ...] = (message,)
        for fault in self.active:
            if isinstance(fault, MESSAGE_FAULTS):
                passing = tuple(after for before in passing for after in self._changed(fault, now, before))
        return passing

    def _changed(self, fault: MessageFault, now: float, before: Outgoing) -> tuple[Outgoing, ...]:
        after = fault.outgoing(now, before)
        if isinstance(fault, SWALLOWING) and after != (before,) and before.kind is Kind.PUSH and not before.is_spoilt:
            self.swallowed.note(name(fault), before)
        return after

    def keeps_from(self, connection: str, now: float, message: Outgoing) -> bool:
        """Whether a fault discards the message for this connection only."""
        if not self.active or message.is_spoilt:
            return False
        fault = next((fault for fault in self.of(Lose) if fault.keeps_from(connection, now, message)), None)
        if fault is not None:
            self.swallowed.note(name(fault), message, connection)
        return fault is not None

    def next(
        self, kind: type[_Fault], now: float, is_met: Callable[[_Fault], bool] = lambda fault: True
    ) -> _Fault | None:
        """The first fault of this kind that acts now and satisfies `is_met`. The call uses one of its turns."""
        if not self.active:
            return None
        self._forget(now)
        return next((f for f in self.of(kind) if is_met(f) and f.turns.comes(now)), None)

    def of(self, kind: type[_Fault]) -> list[_Fault]:
        """The faults of this kind."""
        return [fault for fault in self.active if isinstance(fault, kind)]

    def is_silencing_all(self, now: float) -> bool:
        """Whether a fault stops every message."""
        return any(f.stream.is_everything and not f.turns.is_over(now) for f in self.of(Silence))

    def end(self, kind: str | None = None) -> list[Fault]:
        """End all faults (or those of a kind as in `name`), and return them.

        A crossed book stays crossed until its next change.
        """
        ended = [fault for fault in self.active if kind in (None, name(fault))]
        for fault in ended:
            fault.turns.until = -inf
        self.active = [fault for fault in self.active if fault not in ended or _holds_levels(fault)]
        return ended

    def in_force(self, now: float) -> list[Fault]:
        self._forget(now)
        return list(self.active)

    def _forget(self, now: float) -> None:
        self.active = [fault for fault in self.active if not _is_over(fault, now)]


def _is_over(fault: Fault, now: float) -> bool:
    is_holding = _holds_levels(fault) or (isinstance(fault, Reorder) and fault.held)
    return fault.turns.is_over(now) and not is_holding


def _holds_levels(fault: Fault) -> bool:
    return isinstance(fault, Crossed) and fault.is_holding


def name(fault: Fault) -> str:
    """A fault's name at the control address: `SlowWrite` is "slow-write"."""
    text = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in type(fault).__name__)
    return text.lstrip("-")


def described(fault: Fault, now: float) -> dict[str, Any]:
    """A fault as JSON: its name, its scope, and its remaining count and time."""
    row: dict[str, Any] = {"fault": name(fault)}
    for column in fields(fault):  # type: ignore[arg-type]  # all faults are dataclasses
        row |= _column(column.name, getattr(fault, column.name), now)
    return row


def _column(column: str, value: Any, now: float) -> dict[str, Any]:
    match column, value:
        case ("turns", Turns()):
            seconds = None if isinf(value.until) else round(max(0.0, value.until - now), 3)
            return {"count": value.left, "seconds": seconds, "after": value.after, "chance": value.chance}
        case ("stream", _):
            return {"channel": value.channel, "symbol": value.symbol}
        case ("words", _):
            return {}
        case ("held", _):
            return {"held": len(value)}
        case ("how", _):
            parts = ((part.name, getattr(value, part.name)) for part in fields(value))
            return {part: given for part, given in parts if given is not None}
        case (_, Enum()):
            return {column: value.value}
        case (_, frozenset()):
            return {column: sorted(value)}
        case _:
            return {} if column.startswith("_") else {column: value}
