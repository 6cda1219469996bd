"""One connection's state machine, without socket or clock.

Inputs are the events `opened`, `received`, `woken`, `answered`, `closed` and `stopped`. Each returns the effects to
carry out. A feed lives as long as its connection, so no state needs a reset. It must be woken at `wake_at`.
"""

from collections.abc import Callable, Sequence
from math import inf

from market_collector.errors import FrameError
from market_collector.exchanges.interface import (
    Access,
    AccountUpdate,
    Ack,
    Batch,
    CloseNotice,
    Closing,
    Codec,
    Exchange,
    HeartbeatKind,
    LoggedIn,
    LoginRefusal,
    Lost,
    Message,
    Pong,
    Refusal,
    Trading,
    Unknown,
    UnreadableData,
)
from market_collector.feed.account_login import NOT_KEPT, AccountLogin
from market_collector.feed.book_sync import BookSync
from market_collector.feed.effects import Answer, Effect, Emit, Fetch, Question, Reconnect, Replace
from market_collector.feed.ledger import Ledger
from market_collector.feed.liveness import Liveness
from market_collector.feed.quiet_check import QuietCheck
from market_collector.feed.recent_check import RecentCheck
from market_collector.feed.settled_rates import SettledRates
from market_collector.feed.stream_state import AccountProgress, UnnumberedProgress
from market_collector.feed.subscription import (
    SUBSCRIBE_TIMEOUT_S,
    BookSubscription,
    StreamSubscription,
    Subscriptions,
    is_delivering,
    is_proven,
)
from market_collector.feed.takers import takers_of
from market_collector.model.moment import Moment
from market_collector.model.reasons import DisconnectReason, GapReason, ResyncReason
from market_collector.model.streams import Stream

TICK_S = 1.0
"""Longest time between two checks of the deadlines."""
BOOK_TICK_S = 0.25
"""The same for connections with books: a crossed book must be found soon. With trades without dense ids, REST must
answer about an interruption before trades have waited too long."""
MAX_UNREADABLE = 20
"""Unreadable frames of no known stream in a row after which the connection is replaced."""


class Feed:
    """Dispatches one connection's events to the object of each concern."""

    def __init__(
        self,
        route: str,
        exchange: Exchange,
        streams: Sequence[Stream],
        ledger: Ledger,
        *,
        name: str = "",
        ping_interval_s: float,
        subscribe_timeout_s: float = SUBSCRIBE_TIMEOUT_S,
        replace_after_s: float | None = None,
        store_raw: bool = False,
        book_depth: int | None = None,
    ) -> None:
        """Prepare a connection, whose name is that of its route by default.

        Args:
            replace_after_s: the age at which another connection should replace it, seconds.
        """
        self.name = name or route
        """Name of the connection in records and messages."""
        self.pongs_received = 0
        self.wake_at = 0.0
        self._exchange = exchange
        self._codec: Codec = exchange.codec(route, streams, book_depth)
        self._ledger = ledger
        ledger.connections += 1
        self._number = ledger.connections
        self._requests = Subscriptions(
            self.name,
            self._codec,
            streams,
            ledger,
            limits=exchange.limits,
            timeout_s=subscribe_timeout_s,
            store_raw=store_raw,
            has_rest_snapshots=exchange.book_snapshots is not None,
            is_signed=exchange.routes[route].access is Access.SIGNED,
            connection=self._number,
        )
        self._book_sync = BookSync(exchange, ledger, self._requests, self._number, depth=book_depth)
        check = QuietCheck(exchange, ledger, self._requests, self._book_sync)
        self._liveness = Liveness(
            exchange, ledger, self._requests, check, ping_interval_s, exchange.routes[route].dead_after_s
        )
        self._login = AccountLogin(ledger, self._requests, exchange.routes[route], exchange.polls)
        self._settled = SettledRates(ledger, self._requests, exchange.routes[route], exchange.polls)
        self._recent = RecentCheck(exchange.recent_trades, ledger, self._requests, self._number)
        self._tick_s = BOOK_TICK_S if self._requests.books or self._recent else TICK_S
        self._alive_at = 0.0
        """The last sign of life, monotonic seconds."""
        self._replace_at = inf if replace_after_s is None else replace_after_s
        """When to replace the connection, monotonic seconds; until it is open, seconds from then on."""
        self._unreadable_in_a_row = 0
        # For each message: bound here, so that a message passes through no further object.
        self._subscriptions = self._requests.by_stream
        self._on_books = self._book_sync.on_records
        self._takers = takers_of(ledger)
        self._store_raw = store_raw

    @property
    def path(self) -> str:
        """Path of the connection below the exchange's WebSocket base address."""
        return self._codec.path

    @property
    def pings_sent(self) -> int:
        """Pings sent on this connection."""
        return self._liveness.pings_sent

    @property
    def is_serving(self) -> bool:
        """Whether a stream has brought data, or is quiet as REST confirms. An acknowledgement is not enough."""
        return any(is_proven(each) for each in self._subscriptions.values())

    @property
    def is_complete(self) -> bool:
        """Whether this connection can take over: it delivers every stream that is not refused, books in sync."""
        is_served = all(is_delivering(each) or each.refusals > 0 for each in self._subscriptions.values())
        books, number = self._ledger.books, self._number
        return is_served and all(books.can_continue(each.progress, number) for each in self._requests.books)

    @property
    def is_settled(self) -> bool:
        """Whether every stream is served (a book: by its snapshot) or refused."""
        return all(each.asked_at is None for each in self._subscriptions.values())

    # -- events

    def opened(self, now: Moment) -> list[Effect]:
        """The connection is open: log in or subscribe."""
        self._alive_at = now.at
        self._replace_at += now.at
        connected = Emit([self._ledger.opened(self._number, self.name, self._subscriptions, now)])
        effects = [connected, *self._login.start(now)]
        self.wake_at = self._next_deadline(now)
        return effects

    def _next_deadline(self, now: Moment) -> float:
        return min(now.at + self._tick_s, self._requests.outbox.due_at, self._replace_at)

    def received(self, frame: bytes, now: Moment) -> list[Effect]:
        """A frame arrived: decode it and handle its messages."""
        self._alive_at = now.at
        self._ledger.messages += 1
        raw: list[Effect] = []
        if self._store_raw:
            text = NOT_KEPT if self._login.is_pending else frame.decode(errors="replace")
            raw.append(self._requests.raw("in", text, now))
        try:
            messages = self._codec.read(frame, now.wall_ns)
        except FrameError as error:
            return raw + self._on_unreadable(frame, error, now)
        self._unreadable_in_a_row = 0
        try:
            if len(messages) == 1:  # nearly always
                effects = self._on_message(messages[0], now)
            else:
                self._count_unreadable(messages, frame, now)
                effects = [effect for message in messages for effect in self._on_message(message, now)]
        except Exception as error:
            effects = self._on_internal_error(messages, error, now)
        return raw + effects if raw else effects

    def note_control_frame(self, at: float) -> None:
        """The exchange sent a ping or pong frame at this time, monotonic seconds."""
        if self._exchange.heartbeat.kind is HeartbeatKind.CONTROL_FRAMES:
            self._alive_at = max(self._alive_at, at)

    def woken(self, now: Moment) -> list[Effect]:
        """Time passed: check every deadline."""
        checks = (
            self._check_connection,
            self._check_age,
            self._check_overdue,
            self._requests.check_deadlines,
            self._book_sync.request_snapshots,
            self._book_sync.check_crossed,
            self._recent.requests,
            self._settled.requests,
            self._check_accounts,
            self._confirm_liquidations,
            self._liveness.probe_idle,
            self._requests.send_due,
        )
        effects = [effect for check in checks for effect in self._isolated(check, now)]
        self.wake_at = self._next_deadline(now)
        return effects

    def _isolated(self, check: Callable[[Moment], Sequence[Effect]], now: Moment) -> Sequence[Effect]:
        """Run one check. An internal error in it must not end the connection, nor keep the others from running."""
        try:
            return check(now)
        except Exception as error:
            message = f"internal error in {check.__name__.strip('_')}: {error!r}"
            return self._ledger.complaints.warn(f"{self.name}: {check.__name__}", message, now, error)

    def _check_connection(self, now: Moment) -> Sequence[Effect]:
        return self._liveness.check_connection(self._alive_at, now)

    def _check_age(self, now: Moment) -> Sequence[Effect]:
        if now.at < self._replace_at:
            return []
        self._replace_at = inf
        return [Replace("replaced before the exchange ends it for its age", is_planned=True)]

    def _check_overdue(self, now: Moment) -> Sequence[Effect]:
        events = self._ledger.check_overdue(now)
        return [Emit(events)] if events else []

    def _check_accounts(self, now: Moment) -> Sequence[Effect]:
        is_alive = now.at - self._alive_at <= self._liveness.longest_silence_s
        return self._login.check_accounts(now, is_connection_alive=is_alive)

    def _confirm_liquidations(self, now: Moment) -> Sequence[Effect]:
        return self._liveness.confirm_liquidations(self._alive_at, now)

    def answered(self, fetch: Fetch, answer: Answer, now: Moment) -> list[Effect]:
        """REST answered, or the request failed."""
        if fetch.stream is None:
            is_overview = fetch.question is Question.OVERVIEW
            return (self._liveness.on_overview if is_overview else self._liveness.on_halts)(answer, now)
        if fetch.question is Question.ACCOUNT:
            return self._login.on_account_answer(fetch.stream, answer, now)
        subscription = self._subscriptions[fetch.stream]
        if fetch.question is Question.NEWEST:
            return self._liveness.on_newest(subscription, answer, now)
        if fetch.question is Question.RECENT:
            return self._recent.on_answer(subscription, answer, now)
        if fetch.question is Question.SETTLED:
            return self._settled.on_answer(subscription, answer, now)
        assert isinstance(subscription, BookSubscription)
        if fetch.question is Question.SNAPSHOT:
            return self._book_sync.on_snapshot(subscription, answer, now)
        state = answer if isinstance(answer, bytes) else None
        return self._book_sync.on_state(subscription, state, now)

    def closed(
        self,
        reason: str,
        now: Moment,
        code: int | None = None,
        ended_as: DisconnectReason | None = None,
        text: str = "",
    ) -> list[Effect]:
        """The connection ended. Books are out of sync until another connection has their snapshots.

        Args:
            reason: why, in words.
            now: the present moment.
            code: the code of the exchange's close frame, if it sent one.
            ended_as: set if the collector has ended it.
            text: the reason in the close frame.
        """
        closing = Closing.OTHER if code is None else self._exchange.closing(code, text)
        is_slow = closing is Closing.SLOW_READER
        cause = GapReason.SLOW_READING if is_slow else GapReason.DISCONNECTED
        lost = DisconnectReason.CONNECTION_LOST if code is None else DisconnectReason.CLOSED_BY_EXCHANGE
        word = DisconnectReason.SLOW_READING if is_slow else ended_as or lost
        events = self._ledger.disconnected(self._number, list(self._subscriptions), reason, now, cause, word=word)
        self._book_sync.release()
        if closing is not Closing.KEY_REFUSED:
            return [Emit(events)]
        return [Emit(events), *self._login.on_refusing_close(reason, now)]

    def stopped(self, now: Moment) -> list[Effect]:
        """The connection was ended on purpose: nothing more is expected of it."""
        events = self._ledger.stopped(self._number, self._subscriptions, now)
        self._book_sync.release()
        return [Emit(events)]

    # -- messages

    def _on_message(self, message: Message, now: Moment) -> list[Effect]:
        return self._on_batch(message, now) if type(message) is Batch else self._on_control(message, now)

    def _on_batch(self, batch: Batch, now: Moment) -> list[Effect]:
        subscription = self._subscriptions[batch.stream]
        if subscription.acked_at is None and not subscription.needs_answer:
            self._requests.acknowledge(subscription, now)  # data may precede the acknowledgement
        if type(subscription) is BookSubscription:
            return self._on_books(subscription, batch.records, now)
        if not batch.records:
            return []
        subscription.has_data = True
        progress = subscription.progress
        if batch.evidence is not None:
            progress.evidence = batch.evidence
        take = self._takers.get(type(progress))
        if take is None:
            progress.observe(batch.records[-1], now)
            return [Emit(batch.records)]
        records = take(progress, batch.records, now)
        if type(progress) is UnnumberedProgress and progress.interruption is not None:
            return [Emit(records), *self._recent.on_data(subscription, batch.records, now)]
        return [Emit(records)] if records else []

    def _on_control(self, message: Message, now: Moment) -> list[Effect]:
        effects = self._handle_control(message, now)
        self.wake_at = min(self.wake_at, self._requests.outbox.due_at)
        return effects

    def _handle_control(self, message: Message, now: Moment) -> list[Effect]:
        match message:
            case Ack() | Refusal():
                return self._requests.on_answer(message, now)
            case AccountUpdate():
                return self._login.on_account_update(message, now)
            case LoggedIn():
                return self._login.on_success(now)
            case LoginRefusal():
                return self._login.on_refusal(message, now)
            case Pong():
                self.pongs_received += 1
            case Lost() | UnreadableData():
                return self._on_missing_data(message, now)
            case Trading():
                self._liveness.on_trading(message, now)
            case Unknown(kind):
                warning = f"{self.name}: ignored a frame of the unknown kind {kind[:60]!r}"
                return [*self._ledger.complaints.warn(f"{self.name}: unknown", warning, now)]
            case CloseNotice(text):
                return [Replace(f"the exchange announced: {text}")]
        return []

    def _on_missing_data(self, message: Lost | UnreadableData, now: Moment) -> list[Effect]:
        if isinstance(message, Lost):
            return self._on_lost(message.reason, now)
        return self._on_unreadable_data(message.stream, message.reason, now)

    def _on_lost(self, reason: str, now: Moment) -> list[Effect]:
        """Take nothing of the connection as complete. Ids show which trades and candles are missing, later."""
        warnings = self._ledger.complaints.warn(f"{self.name}: lost", f"{self.name}: messages lost: {reason}", now)
        found = [effect for each in self._subscriptions.values() for effect in self._on_lost_of(each, reason, now)]
        return [*warnings, *found, *self._requests.repeat_due(now)]

    def _on_lost_of(self, subscription: StreamSubscription, reason: str, now: Moment) -> list[Effect]:
        if isinstance(subscription, BookSubscription):
            return self._book_sync.on_missing(subscription, ResyncReason.SEQUENCE_GAP, reason, now)
        self._recent.on_missing(subscription, GapReason.SEQUENCE_GAP, now)
        if subscription.asked_at is not None:
            self._requests.on_unreadable(subscription, now)
        elif isinstance(subscription.progress, AccountProgress):
            subscription.ask_again_at = now.at
        return []

    # -- what cannot be read

    def _on_unreadable(self, frame: bytes, error: FrameError, now: Moment) -> list[Effect]:
        """Count the frame. One of a known stream concerns this stream only."""
        reason = str(error)
        if self._login.is_pending:
            frame, reason = NOT_KEPT.encode(), "a frame during the login cannot be read"
        self._ledger.unreadable(reason, frame, now)
        if error.stream is not None:
            return self._on_unreadable_data(error.stream, reason, now)
        effects: list[Effect] = [*self._ledger.complaints.warn(self.name, reason, now)]
        self._unreadable_in_a_row += 1
        if error.__cause__ is not None:  # it could not be decoded; others are readable, and of an unknown kind
            self._recent.on_damaged(now)
        if self._unreadable_in_a_row >= MAX_UNREADABLE:
            effects.append(Reconnect(f"{MAX_UNREADABLE} unreadable frames in a row; the last: {reason}"))
        return effects

    def _count_unreadable(self, messages: Sequence[Message], frame: bytes, now: Moment) -> None:
        """Count a frame in which only some data can be read."""
        reason = next((each.reason for each in messages if type(each) is UnreadableData), None)
        if reason is not None:
            self._ledger.unreadable(reason, frame, now)

    def _on_unreadable_data(self, stream: Stream, reason: str, now: Moment) -> list[Effect]:
        warnings = self._ledger.complaints.warn(str(stream), f"{stream}: {reason}", now)
        return [*warnings, *self._on_unreadable_of(stream, reason, now)]

    def _on_unreadable_of(self, stream: Stream, reason: str, now: Moment) -> list[Effect]:
        """The stream lacks a message. Ids show which one; a book is out of sync."""
        subscription = self._subscriptions[stream]
        effects: list[Effect] = []
        if isinstance(subscription, BookSubscription):
            effects = self._book_sync.on_missing(subscription, ResyncReason.UNREADABLE, reason, now)
            effects += self._requests.repeat_due(now)
        else:
            self._requests.on_unreadable(subscription, now)
            self._recent.on_missing(subscription, GapReason.UNREADABLE, now)
        subscription.progress.observe_unreadable(reason, now)
        return effects

    def _on_internal_error(self, messages: Sequence[Message], error: Exception, now: Moment) -> list[Effect]:
        """An internal error in a message hurts the streams of this message only."""
        reason = f"internal error: {error!r}"
        streams = {stream for message in messages for stream in _streams_of(message)}
        names = ", ".join(sorted(map(str, streams))) or self.name
        warnings = self._ledger.complaints.warn(f"{names}: internal error", f"{names}: {reason}", now, error)
        return [*warnings, *(effect for each in streams for effect in self._on_unreadable_of(each, reason, now))]


def _streams_of(message: Message) -> Sequence[Stream]:
    """Return the streams that lack something if the message could not be handled."""
    match message:
        case Batch() | AccountUpdate() | UnreadableData():
            return [message.stream]
        case Ack(streams):
            return streams
    return []
