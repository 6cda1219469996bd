"""One connection's state machine, without socket or clock.

Inputs are the events `opened`, `received`, `woken`, `answered`, `closed` and `stopped`. Each returns the effects to
carry out. A feed lives as long as its connection, so no state needs a reset. It must be woken at `wake_at`.
"""

from collections.abc import Sequence
from typing import cast

from market_collector.errors import FrameError
from market_collector.exchanges.interface import (
    AccountUpdate,
    Ack,
    Batch,
    CloseNotice,
    Codec,
    Exchange,
    LoggedIn,
    LoginRefusal,
    Message,
    Pong,
    Refusal,
)
from market_collector.feed.account_login import NOT_KEPT, AccountLogin
from market_collector.feed.book_sync import BookSync
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Replace, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.liveness import Liveness
from market_collector.feed.stream_state import IdProgress
from market_collector.feed.subscription import SUBSCRIBE_TIMEOUT_S, BookSubscription, Subscriptions, is_delivering
from market_collector.model.events import Candle, Connected, Record, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

TICK_S = 1.0
"""Longest time between two checks of the deadlines."""
BOOK_TICK_S = 0.25
"""The same for connections with books: a crossed book must be found soon."""
MAX_UNREADABLE = 20
"""Unreadable frames in a row after which the connection is replaced."""
TRADE = DataType.TRADE
"""Used for each message: before Python 3.12 an enum member lookup takes 70 ns."""


class Feed:
    """Dispatches one connection's events to the object of each concern."""

    def __init__(
        self,
        route: str,
        exchange: Exchange,
        streams: Sequence[Stream],
        ledger: Ledger,
        *,
        ping_interval_s: float,
        subscribe_timeout_s: float = SUBSCRIBE_TIMEOUT_S,
        store_raw: bool = False,
    ) -> None:
        self.route = route
        self.pongs_received = 0
        self.wake_at = 0.0
        self._exchange = exchange
        self._codec: Codec = exchange.codec(route, streams)
        self._ledger = ledger
        ledger.connections += 1
        self._number = ledger.connections
        self._requests = Subscriptions(
            route, self._codec, streams, ledger, timeout_s=subscribe_timeout_s, store_raw=store_raw
        )
        self._book_sync = BookSync(exchange, ledger, self._requests, self._number)
        self._liveness = Liveness(exchange, ledger, self._requests, self._book_sync, ping_interval_s)
        self._login = AccountLogin(ledger, self._requests, needs_login=exchange.needs_login(route))
        self._tick_s = BOOK_TICK_S if self._requests.books else TICK_S
        self._received_at = 0.0
        self._unreadable_in_a_row = 0
        # For each message: bound here, so that a message passes through no further object.
        self._subscriptions = self._requests.by_stream
        self._on_books = self._book_sync.on_records
        self._take_trades = ledger.ids.take_trades
        self._take_candles = ledger.ids.take_candles
        self._has_dense_trade_ids = exchange.has_dense_trade_ids
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
        """Whether the exchange has acknowledged at least one stream: the connection is a success."""
        return any(each.acked_at is not None for each in self._subscriptions.values())

    @property
    def is_complete(self) -> bool:
        """Whether this connection can take over: it delivers every stream that is not refused, books in sync."""
        return all(is_delivering(each) or each.refusals > 0 for each in self._subscriptions.values())

    @property
    def is_settled(self) -> bool:
        """Whether every stream is served (a book: by its snapshot) or refused."""
        return all(each.asked_at is None for each in self._subscriptions.values())

    # -- events

    def opened(self, now: Moment) -> list[Effect]:
        """The connection is open: log in or subscribe."""
        self._received_at = now.at
        self.wake_at = now.at + self._tick_s
        connected = Emit([Connected(self._exchange.name, None, None, now.wall_ns, None, self.route)])
        if self._login.is_pending:
            return [connected, *self._login.log_in(now)]
        return [connected, *self._requests.subscribe_all(now)]

    def received(self, frame: bytes, now: Moment) -> list[Effect]:
        """A frame arrived: decode it and handle its messages."""
        self._received_at = now.at
        self._ledger.messages += 1
        raw: list[Effect] = []
        if self._store_raw:
            text = NOT_KEPT if self._login.is_pending else frame.decode(errors="replace")
            raw.append(self._requests.raw("in", text, now))
        try:
            messages = self._codec.read(frame, now.wall_ns)
        except FrameError as error:
            return raw + self._on_unreadable(frame, str(error), now)
        self._unreadable_in_a_row = 0
        if len(messages) == 1:  # nearly always
            effects = self._on_message(messages[0], now)
        else:
            effects = [effect for message in messages for effect in self._on_message(message, now)]
        return raw + effects if raw else effects

    def woken(self, now: Moment) -> list[Effect]:
        """Time passed: check every deadline."""
        self.wake_at = now.at + self._tick_s
        effects = self._liveness.check_connection(self._received_at, now)
        events = self._ledger.check_overdue(now)
        if events:
            effects.append(Emit(events))
        effects += self._requests.check_deadlines(now)
        effects += self._book_sync.check_crossed(now)
        is_alive = now.at - self._received_at <= 2 * self._liveness.ping_interval_s
        effects += self._login.check_accounts(now, is_connection_alive=is_alive)
        effects += self._liveness.probe_silent(now)
        return effects

    def answered(self, fetch: Fetch, answer: bytes | None, now: Moment) -> list[Effect]:
        """REST answered; None when the request failed."""
        subscription = self._subscriptions[fetch.stream]
        if fetch.question is Question.NEWEST:
            return self._liveness.on_newest(subscription, answer, now)
        assert isinstance(subscription, BookSubscription)
        return self._book_sync.on_trading_state(subscription, answer, now)

    def closed(self, reason: str, now: Moment, code: int | None = None) -> list[Effect]:
        """The connection ended; ``code`` is that of the exchange's close frame.

        Books are out of sync until another connection has their snapshots.
        """
        is_slow = code is not None and code == self._exchange.slow_reader_code
        cause = "SlowReading" if is_slow else "Disconnected"
        events = self._ledger.disconnected(self._number, list(self._subscriptions), reason, now, cause)
        if code not in self._exchange.key_refused_codes:
            return [Emit(events)]
        return [Emit(events), *self._login.on_refusing_close(reason, now)]

    def stopped(self, now: Moment) -> list[Effect]:
        """The connection was ended on purpose: nothing more is expected of it."""
        return [Emit(self._ledger.stopped(self._number, self._subscriptions, now))]

    # -- messages

    def _on_message(self, message: Message, now: Moment) -> list[Effect]:
        return self._on_batch(message, now) if type(message) is Batch else self._on_control(message, now)

    def _on_batch(self, batch: Batch, now: Moment) -> list[Effect]:
        subscription = self._subscriptions[batch.stream]
        if subscription.acked_at is None:
            self._requests.acknowledge(subscription, now)  # data may precede the acknowledgement
        if type(subscription) is BookSubscription:
            return self._on_books(subscription, batch.records, now)
        if not batch.records:
            return []
        records: Sequence[Record] = batch.records
        progress = subscription.progress
        if type(progress) is IdProgress:
            if batch.stream.data_type is not TRADE:
                records = self._take_candles(progress, cast(Sequence[Candle], records), now)
            elif self._has_dense_trade_ids:
                records = self._take_trades(progress, cast(Sequence[Trade], records), now)
        subscription.has_data = True
        progress.observe(batch.records[-1], now)
        return [Emit(records)] if records else []

    def _on_control(self, message: Message, now: Moment) -> list[Effect]:
        match message:
            case Ack(stream):
                self._requests.acknowledge(self._subscriptions[stream], now)
            case AccountUpdate():
                return self._login.on_account_update(message, now)
            case LoggedIn():
                return self._login.on_success(now)
            case LoginRefusal():
                return self._login.on_refusal(message, now)
            case Pong():
                self.pongs_received += 1
            case Refusal():
                return self._requests.on_refusal(message, now)
            case CloseNotice(text):
                return [Replace(f"the exchange announced: {text}")]
        return []

    def _on_unreadable(self, frame: bytes, reason: str, now: Moment) -> list[Effect]:
        if self._login.is_pending:
            frame, reason = NOT_KEPT.encode(), "a frame during the login cannot be read"
        self._ledger.unreadable(reason, frame, now)
        self._unreadable_in_a_row += 1
        if self._unreadable_in_a_row >= MAX_UNREADABLE:
            return [Warn(reason), Reconnect(f"{MAX_UNREADABLE} unreadable frames in a row; the last: {reason}")]
        return [Warn(reason)]
