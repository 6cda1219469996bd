"""Streams of one route that exist over REST only: when each is requested, and its answers.

A stream counts as connected from its first answer until a request fails. Its records, gaps and states are those of a
stream on a connection.
"""

from collections.abc import Sequence
from typing import cast

import msgspec

from market_collector.errors import FrameError, InstrumentRefusedError, RequestFailedError
from market_collector.exchanges.interface import AccountUpdate, Batch, Exchange, ProblemKind, Request
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import AccountProgress, StreamProgress
from market_collector.feed.subscription import REFUSED_RETRY_S
from market_collector.feed.takers import takers_of
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

CLOSE_DELAY_NS = 2_000_000_000
"""A candle is requested this long after its end, when REST should have it."""


class PollRequest(msgspec.Struct, frozen=True):
    """A request for a stream's newest data."""

    stream: Stream
    request: Request


class Polling:
    """The polled streams of one route."""

    def __init__(self, route: str, exchange: Exchange, streams: Sequence[Stream], ledger: Ledger) -> None:
        every_s = exchange.routes[route].polled_every_s
        assert exchange.polls is not None
        assert every_s is not None
        self.name = route
        self.reason = ""
        """Error of the last failed request; empty while all streams are connected."""
        self.problem = ""
        """``RegionRestricted`` if that error excludes our region; empty otherwise."""
        self._polls = exchange.polls
        self._ledger = ledger
        self._every_s = min(every_s, ledger.stale_after_s / 2)
        self._due_at = dict.fromkeys(streams, 0.0)
        """When each stream is requested next, monotonic seconds."""
        self._numbers: dict[Stream, int] = {}
        """Connection numbers of the connected streams."""
        self._takers = takers_of(ledger)

    @property
    def is_connected(self) -> bool:
        """Whether the last request for each stream was answered, be it by a refusal."""
        states = {stream: self._ledger.streams[stream].state for stream in self._due_at}
        return all(stream in self._numbers or state is StreamState.REFUSED for stream, state in states.items())

    @property
    def due_at(self) -> float:
        """Time of the next request, monotonic seconds."""
        return min(self._due_at.values())

    def next_request(self, now: Moment) -> PollRequest | None:
        """Return the request that is due for the longest time."""
        stream = min(self._due_at, key=self._due_at.__getitem__)
        if self._due_at[stream] > now.at:
            return None
        self._due_at[stream] = now.at + self._delay_s(stream, now)
        return PollRequest(stream, self._polls.request(stream))

    def _delay_s(self, stream: Stream, now: Moment) -> float:
        if stream.data_type is not DataType.CANDLE:
            return self._every_s
        number = stream.candle_number(now.wall_ns - CLOSE_DELAY_NS)
        end_ns = stream.candle_open_ns(number + 1) + CLOSE_DELAY_NS
        return min(self._every_s, (end_ns - now.wall_ns) / 1e9)

    # -- answers

    def answered(self, stream: Stream, body: bytes, now: Moment) -> list[Emit | Warn]:
        """Emit the new records of an answer. One without any confirms that the exchange has nothing newer."""
        try:
            found = self._polls.read(stream, body, now.wall_ns)
        except InstrumentRefusedError as error:
            return self._on_refusal(stream, error, now)
        except FrameError as error:
            self._ledger.unreadable(str(error), body, now)
            self._ledger.streams[stream].observe_unreadable(str(error), now)
            return [*self._ledger.complaints.warn(f"{stream}: poll", f"{stream}: {error}", now)]
        progress = self._ledger.streams[stream]
        records = [*self._connect(stream, now), *self._take(progress, found, now)]
        return [Emit(records)] if records else []

    def _connect(self, stream: Stream, now: Moment) -> list[Record]:
        progress = self._ledger.streams[stream]
        if progress.state is StreamState.REFUSED:
            self._ledger.expect_data(progress, now)
        if stream in self._numbers:
            return []
        self._ledger.connections += 1
        self._numbers[stream] = self._ledger.connections
        if self.is_connected:
            self.reason = self.problem = ""
        return [self._ledger.opened(self._numbers[stream], self.name, [stream], now)]

    def _take(self, progress: StreamProgress, found: Batch | AccountUpdate, now: Moment) -> Sequence[Record]:
        if isinstance(found, AccountUpdate):
            return self._ledger.take_account(cast(AccountProgress, progress), found, now)
        records = self._takers[type(progress)](progress, found.records, now) if found.records else ()
        if not records:
            self._ledger.confirm(progress, now)
        return records

    def failed(self, stream: Stream, error: RequestFailedError, now: Moment) -> list[Emit | Warn]:
        """The request failed: the stream lacks data until the next answer. An error may refuse the instrument."""
        if error.problem is not None and error.problem.kind is ProblemKind.NO_SYMBOL:
            try:
                self._polls.read(stream, error.body, now.wall_ns)
            except InstrumentRefusedError as refusal:
                return self._on_refusal(stream, refusal, now)
            except FrameError:
                pass
        events = self._disconnect(stream, str(error), now)
        is_excluded = error.problem is not None and error.problem.kind is ProblemKind.REGION
        self.problem = ProblemKind.REGION.value if is_excluded else ""
        self._ledger.streams[stream].unchecked = str(error)
        warnings = self._ledger.complaints.warn(f"{stream}: poll", f"{stream}: {error}", now)
        return [*([Emit(events)] if events else []), *warnings]

    def _disconnect(self, stream: Stream, reason: str, now: Moment) -> list[Record]:
        self.reason = reason
        number = self._numbers.pop(stream, None)
        return [] if number is None else self._ledger.disconnected(number, [stream], reason, now)

    def _on_refusal(self, stream: Stream, error: InstrumentRefusedError, now: Moment) -> list[Emit | Warn]:
        self._due_at[stream] = now.at + REFUSED_RETRY_S
        events = self._disconnect(stream, str(error), now)
        events += self._ledger.refuse(self._ledger.streams[stream], error.reason, str(error), now)
        return [Emit(events), Warn(f"{stream}: {error}")] if events else []

    def stopped(self, now: Moment) -> list[Record]:
        """The requests end on purpose."""
        numbers, self._numbers = self._numbers, {}
        return [each for stream, number in numbers.items() for each in self._ledger.stopped(number, [stream], now)]
