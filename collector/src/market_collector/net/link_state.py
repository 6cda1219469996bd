"""A route's connections as a state machine, without socket, task or clock; `net.link` drives it.

Inputs are the events `started`, `opened`, `ended`, `replace`, `announced`, `woken` and `stopped`. Each returns the
effects to carry out. The machine must be woken at `wake_at`.

============ ===================================== ==========================================================
phase        meaning                               leaves it for
============ ===================================== ==========================================================
CONNECTING   the newest connection is being opened CONNECTED (opened), BACKOFF or STOPPED (ended)
CONNECTED    it is open; predecessors may drain    CONNECTING (replace), BACKOFF or STOPPED (ended, announced)
BACKOFF      waits before the next attempt         CONNECTING (delay over, or replace)
STOPPED      attempts used up, or not running      CONNECTING (replace while running, or started)
============ ===================================== ==========================================================

A connection is replaced when the exchange announces its end (`feed.effects.Replace`), or on request. Its successor is
opened at once, or after a delay if the exchange announces the end of a connection that is not steady yet. The old one
streams on until the successor delivers every stream, the drain deadline passes, or the exchange closes it. Any other
end of a connection is followed by a delay and an attempt.

Delays grow until a connection has brought data and has lived for `LinkPolicy.steady_s`: an exchange that acknowledges
and then closes is not dialed without pause.
"""

import logging
from collections import Counter

import msgspec

from market_collector.errors import ConnectionFailedError
from market_collector.exchanges.interface import Closing
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState
from market_collector.net.backoff import Backoff

DRAIN_POLL_S = 0.1
"""Interval of checks whether a successor delivers every stream; only while a connection is being replaced."""

COMPLAINTS = {
    Closing.SLOW_READER: "we read too slowly: {reason}; more CPU or more shards are needed",
    Closing.TOO_MANY: "we send too many requests: {reason}; fewer collectors should share the address",
}
"""What a close of the exchange tells the user."""


class LastReconnect(msgspec.Struct, frozen=True):
    """The last reconnect: its time, and why the connection before it ended."""

    time_ns: int
    reason: str


class LinkPolicy(msgspec.Struct, frozen=True):
    """Settings that decide how a link reconnects."""

    drain_s: float
    steady_s: float
    """How long a connection must live, and bring data, before the delays start over."""
    max_attempts: int
    """Attempts in a row without any data before the link gives up; 0 means no limit."""
    auto_restart: bool
    """Whether the link starts over after it gave up."""


class Open(msgspec.Struct, frozen=True):
    """Open a connection under this number."""

    number: int


class Dismiss(msgspec.Struct, frozen=True):
    """End a connection that is no longer needed."""

    number: int
    reason: str


class Log(msgspec.Struct, frozen=True):
    """Write a log line."""

    level: int
    message: str


LinkEffect = Open | Dismiss | Log


class Attempt(msgspec.Struct):
    """One connection, from dialing to its end."""

    number: int
    opened_at: float | None = None
    """Monotonic seconds; None while it is being opened."""
    leaving: str = ""
    """Why it is to be replaced."""
    is_dismissed: bool = False


class LinkMachine:
    """The state of one route's connections."""

    def __init__(self, policy: LinkPolicy, backoff: Backoff, now: Moment) -> None:
        self.state = ConnectionState.CONNECTING
        self.since_ns = now.wall_ns
        self.reason = ""
        """Why it is not connected, or will soon be replaced."""
        self.problem = ""
        """`ConnectionFailedError.problem` of the last attempt."""
        self.reconnections = 0
        self.last_reconnect: LastReconnect | None = None
        self.exhausted = ""
        """The message about the attempts when they were last used up."""
        self.closes: Counter[Closing] = Counter()
        """How often the exchange closed a connection for which reason."""
        self.wake_at: float | None = None
        """When to call `woken`, monotonic seconds; None: not needed."""
        self._policy = policy
        self._backoff = backoff
        self._phase = ConnectionState.CONNECTING
        self._phase_reason = ""
        self._connections: list[Attempt] = []
        """Oldest first."""
        self._opened_so_far = 0
        self._attempts = 0
        """Attempts since the last success."""
        self._gave_up = False
        self._is_running = False
        self._has_connected = False
        """Since it started; every later connection is a reconnection."""
        self._open_reason = ""
        """Why the next connection is needed."""
        self._drain_until = 0.0

    # -- queries

    @property
    def newest_open(self) -> int | None:
        """Number of the newest open connection; None while there is none."""
        return next((each.number for each in reversed(self._open())), None)

    @property
    def newest(self) -> int:
        """Number of the connection opened last, open or not."""
        return self._opened_so_far

    @property
    def has_given_up(self) -> bool:
        """Whether the attempts are used up and no connection is left: the link stays down until `replace`."""
        return self._gave_up and not self._connections

    def is_leaving(self, number: int) -> bool:
        """Return whether a connection is to be replaced already."""
        return any(each.number == number and each.leaving for each in self._connections)

    # -- events

    def started(self, now: Moment) -> list[LinkEffect]:
        """Open the first connection."""
        self._is_running, self._has_connected, self._open_reason = True, False, ""
        self._reset_attempts()
        return self._start_attempt(now)

    def stopping(self) -> None:
        """Open no further connection: the link is being stopped."""
        self._is_running, self.wake_at = False, None

    def stopped(self, now: Moment) -> None:
        """Record that all connections have ended."""
        self.stopping()
        self.problem = ""
        self._set_phase(ConnectionState.STOPPED, "stopped", now)

    def opened(self, number: int, now: Moment) -> None:
        """A connection is open; its predecessors drain from now on."""
        for attempt in self._connections:
            if attempt.number == number:
                attempt.opened_at = now.at
        self.problem = ""
        self._set_phase(ConnectionState.CONNECTED, "", now)
        if self._has_connected:
            self.reconnections += 1
            self.last_reconnect = LastReconnect(now.wall_ns, self._open_reason)
        self._has_connected = True
        self._drain_until = now.at + self._policy.drain_s
        self.wake_at = now.at

    def ended(
        self,
        number: int,
        reason: str,
        now: Moment,
        *,
        error: ConnectionFailedError | None = None,
        is_serving: bool = False,
        closing: Closing = Closing.OTHER,
    ) -> list[LinkEffect]:
        """A connection ended, or could not be opened. Wait before the next attempt if it was the newest.

        Args:
            number: the connection.
            reason: why it ended.
            now: the present moment.
            error: set if it could not be opened, or if the exchange ended it for too many requests.
            is_serving: whether it had brought data.
            closing: why the exchange closed it.
        """
        effects = self._count_close(closing, reason)
        if is_serving and number == self.newest:
            self._count_success(now)
        self.removed(number, now)
        is_decided = self._phase is ConnectionState.BACKOFF  # since the end was announced
        if number != self.newest or not self._is_running or is_decided:
            return effects
        return [*effects, *self._wait(reason, error, now)]

    def removed(self, number: int, now: Moment) -> None:
        """Forget a connection that was cancelled."""
        self._connections = [each for each in self._connections if each.number != number]
        self._publish_state(now)

    def replace(self, reason: str, now: Moment, *, is_serving: bool = False) -> list[LinkEffect]:
        """Open another connection without delay; the present one streams on until that one can take over.

        While a connection is being opened, that one is the successor. ``is_serving``: whether the newest connection has
        brought data.
        """
        if self._mark_leaving(reason, now):
            return []
        if self._gave_up:
            self._reset_attempts()
        elif is_serving:
            self._count_success(now)
        self._open_reason = reason
        return self._start_attempt(now)

    def announced(self, reason: str, now: Moment, *, is_serving: bool) -> list[LinkEffect]:
        """The exchange will end the open connections: replace them, at once if the newest has proven itself.

        Without the delay, an exchange that announces an end to every new connection would be dialed without pause.
        """
        if is_serving and self._is_steady(now):
            return self.replace(reason, now, is_serving=True)
        if self._mark_leaving(reason, now) or self._phase is not ConnectionState.CONNECTED:
            return []
        if is_serving:
            self._count_success(now)
        return self._delay(self._backoff.after(None), reason, now)

    def woken(self, now: Moment, *, is_complete: bool) -> list[LinkEffect]:
        """Time passed: start the attempt that is due, or end predecessors.

        Args:
            is_complete: whether the newest connection delivers every stream.
        """
        if self.wake_at is None or now.at < self.wake_at:
            return []
        self.wake_at = None
        if self._phase is ConnectionState.BACKOFF:
            return self._start_attempt(now)
        return self._drain_predecessors(is_complete, now)

    # -- connecting

    def _start_attempt(self, now: Moment) -> list[LinkEffect]:
        """Open the next connection. At most two are kept, so an earlier successor that has not taken over is closed."""
        effects = [self._dismiss(each, "replaced before it served") for each in self._open()[1:]]
        self._attempts += 1
        self._opened_so_far += 1
        self._connections.append(Attempt(self._opened_so_far))
        self.wake_at = None
        self._set_phase(ConnectionState.CONNECTING, self._open_reason, now)
        return [*effects, Open(self._opened_so_far)]

    def _mark_leaving(self, reason: str, now: Moment) -> bool:
        """Mark open connections to be replaced; return whether no further one is needed for that."""
        for attempt in self._open():
            attempt.leaving = attempt.leaving or reason
        self._publish_state(now)
        return not self._is_running or self._phase is ConnectionState.CONNECTING

    def _drain_predecessors(self, is_complete: bool, now: Moment) -> list[LinkEffect]:
        """End the connections before the newest once it delivers every stream, or after the deadline."""
        predecessors = [each for each in self._open() if each.number != self.newest]
        if not predecessors or self._phase is not ConnectionState.CONNECTED:
            return []
        if not is_complete and now.at < self._drain_until:
            self.wake_at = now.at + DRAIN_POLL_S
            return []
        state = "serves every stream" if is_complete else "does not serve every stream yet"
        effects: list[LinkEffect] = [Log(logging.INFO, f"the new one {state}; the old one ends")]
        effects += [self._dismiss(each, f"replaced: {each.leaving}") for each in predecessors]
        self._publish_state(now)
        return effects

    def _dismiss(self, attempt: Attempt, reason: str) -> LinkEffect:
        attempt.is_dismissed = True
        return Dismiss(attempt.number, reason)

    def _open(self) -> list[Attempt]:
        return [each for each in self._connections if each.opened_at is not None and not each.is_dismissed]

    # -- waiting

    def _wait(self, reason: str, error: ConnectionFailedError | None, now: Moment) -> list[LinkEffect]:
        """Wait before the next attempt, or for `replace` once the attempts are used up."""
        delay_s = self._backoff.after(error)
        self.problem = "" if error is None else error.problem
        effects: list[LinkEffect] = []
        if 0 < self._policy.max_attempts <= self._attempts:
            self.exhausted = f"gave up after {self._attempts} attempts: {reason}"
            if not self._policy.auto_restart:
                return self._give_up(reason, now)
            effects.append(Log(logging.ERROR, f"{self.exhausted}; starting over (autoRestart is true)"))
            self._reset_attempts()
            delay_s = max(delay_s, self._backoff.long())
        return [*effects, *self._delay(delay_s, reason, now)]

    def _delay(self, delay_s: float, reason: str, now: Moment) -> list[LinkEffect]:
        self._open_reason = reason
        self.wake_at = now.at + delay_s
        self._set_phase(ConnectionState.BACKOFF, reason, now)
        return [Log(logging.WARNING, f"{reason}; trying again in {delay_s:.1f} s")]

    def _give_up(self, reason: str, now: Moment) -> list[LinkEffect]:
        self._gave_up = True
        self._open_reason = reason
        self.wake_at = None
        self._set_phase(ConnectionState.STOPPED, self.exhausted, now)
        return [Log(logging.ERROR, f"{self.exhausted} (autoRestart is false)")]

    def _count_success(self, now: Moment) -> None:
        """The newest connection has brought data. Only a steady one ends the growth of the delays."""
        self._attempts = 0
        if self._is_steady(now):
            self._backoff.reset()

    def _is_steady(self, now: Moment) -> bool:
        """Return whether the newest connection has been open for long enough."""
        opened = [each.opened_at for each in self._connections if each.number == self.newest]
        return any(at is not None and now.at - at >= self._policy.steady_s for at in opened)

    def _reset_attempts(self) -> None:
        """Forget failures: a new start."""
        self._attempts = 0
        self._gave_up = False
        self._backoff.reset()

    def _count_close(self, closing: Closing, reason: str) -> list[LinkEffect]:
        self.closes[closing] += 1
        complaint = COMPLAINTS.get(closing)
        return [Log(logging.ERROR, complaint.format(reason=reason))] if complaint else []

    # -- the published state

    def _set_phase(self, phase: ConnectionState, reason: str, now: Moment) -> None:
        self._phase, self._phase_reason = phase, reason
        self._publish_state(now)

    def _publish_state(self, now: Moment) -> None:
        """Set state and reason. An old connection that still streams says more than a new one that does not yet."""
        leaving = next((each.leaving for each in self._open() if each.leaving), "")
        state = ConnectionState.DRAINING if leaving else self._phase
        if state is not self.state:
            self.since_ns = now.wall_ns
        self.state, self.reason = state, self._phase_reason
        if leaving:
            self.reason = f"{leaving}; the next one: {self._phase} {self._phase_reason}".rstrip()
