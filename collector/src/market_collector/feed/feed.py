"""One connection's life, decided without a socket or a clock.

Inputs are what happened (`opened`, `received`, `woken`, `answered`, `closed`); each returns what to do about it. The
object lives as long as its connection, so there is no state to reset. Between inputs it wants to be woken at
`wake_at`.
"""

from collections.abc import Sequence
from typing import Literal, cast

from market_collector.book.book import Book
from market_collector.book.continuity import follows, is_crossed
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
from market_collector.feed.effects import (
    CheckClock,
    Effect,
    Emit,
    Fetch,
    Login,
    Question,
    Reconnect,
    RejectKey,
    Replace,
    Send,
    Warn,
)
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import StreamLedger
from market_collector.feed.subscription import Subscription, describe_link, is_delivering, probed_at
from market_collector.model.events import Candle, Connected, Data, Orderbook, Raw, Record, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

TICK_S = 1.0
"""Longest time between two looks at the deadlines."""
BOOK_TICK_S = 0.25
"""The same with books, of which one may be crossed."""
SUBSCRIBE_TIMEOUT_S = 10.0
"""A subscription that is neither served nor refused within this time is stuck; a book's ack without a snapshot too."""
PROBE_AFTER_S = 2.0
"""An acknowledged stream without any data is looked at over REST after this time."""
MAX_PROBES = 4
"""REST questions of one connection under way at once."""
REFUSED_RETRY_S = 300.0
"""A refusal that no retry heals is tried again this seldom: an instrument may be listed later."""
RETRY_S = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Waits before asking again for a stream: temporarily refused, or a book that lost its sequence (OKX allows 480
requests an hour and connection)."""
MAX_RESYNCS = 6
"""A book that was asked for this often in `RESYNC_WINDOW_S` without staying in order needs another connection."""
RESYNC_WINDOW_S = 300.0
CROSSED_S = 1.0
"""A best bid at or above the best ask for longer than this is no state that a continuous market can have."""
AUCTION_PATIENCE_S = 30.0
"""Until the exchange is asked again whether an instrument with a crossed book is in a call auction."""
MAX_UNREADABLE = 20
"""Unreadable frames in a row after which the connection itself is not trusted."""
ACCOUNT_REPEAT_S = 300.0
"""An account that has told nothing for this long is asked for as a whole again: its stream must be alive, and a balance
must not be wrong for longer."""
CREDENTIALS_REFUSED = "CredentialsRefused"
NOT_KEPT = "(not kept: it belongs to a login)"
"""Stands for the text of a frame in records and errors, until the login is over."""
TRADE, ORDERBOOK, CANDLE = DataType.TRADE, DataType.ORDERBOOK, DataType.CANDLE
"""For what is done with each message: before Python 3.12 it takes 70 ns to look up an enum's member."""


class Feed:
    """The state machine of one connection."""

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
        self.pings_sent = 0
        self.pongs_received = 0
        self.wake_at = 0.0
        self._exchange = exchange
        self._talk: Codec = exchange.codec(route, streams)
        self._ledger = ledger
        ledger.connections += 1
        self._number = ledger.connections
        self._subscriptions = {stream: Subscription(ledger.streams[stream]) for stream in streams}
        self._ping_interval_s = min(ping_interval_s, exchange.heartbeat.max_interval_s)
        self._subscribe_timeout_s = subscribe_timeout_s
        has_books = any(stream.data_type is DataType.ORDERBOOK for stream in streams)
        self._tick_s = BOOK_TICK_S if has_books else TICK_S
        self._store_raw = store_raw
        self._received_at = 0.0
        self._pinged_at: float | None = None
        self._unreadable_in_a_row = 0
        self._needs_login = self._is_logging_in = exchange.needs_login(route)
        self._was_refused = False
        """The login; a close frame that follows says nothing new."""

    @property
    def path(self) -> str:
        """Path of the connection below the exchange's WebSocket base address."""
        return self._talk.path

    @property
    def is_serving(self) -> bool:
        """Whether the exchange has answered for at least one stream: the connection is a success."""
        return any(sub.acked_at is not None for sub in self._subscriptions.values())

    @property
    def is_complete(self) -> bool:
        """Whether this connection can take over: it brings data of every stream that is not refused, books in sync."""
        return all(is_delivering(sub) or sub.refusals > 0 for sub in self._subscriptions.values())

    @property
    def is_settled(self) -> bool:
        """Whether the exchange has answered for every stream: each is served (a book: by its snapshot) or refused."""
        return all(sub.asked_at is None for sub in self._subscriptions.values())

    # -- what happened

    def opened(self, now: Moment) -> list[Effect]:
        """The connection is open: ask for all streams."""
        self._received_at = now.at
        self.wake_at = now.at + self._tick_s
        hello = Connected(self._exchange.name, None, None, now.wall_ns, None, self.route)
        if self._is_logging_in:
            return [Emit([hello]), *self._log_in(now)]
        return [Emit([hello]), *self._ask(list(self._subscriptions), now)]

    def received(self, frame: bytes, now: Moment) -> list[Effect]:
        """A frame came."""
        self._received_at = now.at
        self._pinged_at = None
        self._ledger.messages += 1
        raw: list[Effect] = []
        if self._store_raw:
            text = NOT_KEPT if self._is_logging_in else frame.decode(errors="replace")
            raw.append(Emit([self._raw("in", text, now)]))
        try:
            messages = self._talk.read(frame, now.wall_ns)
        except FrameError as error:
            return raw + self._unreadable(frame, str(error), now)
        self._unreadable_in_a_row = 0
        if len(messages) == 1:  # nearly always
            effects = self._on_message(messages[0], now)
        else:
            effects = [effect for message in messages for effect in self._on_message(message, now)]
        return raw + effects if raw else effects

    def _on_message(self, message: Message, now: Moment) -> list[Effect]:
        return self._on_batch(message, now) if type(message) is Batch else self._on_control(message, now)

    def woken(self, now: Moment) -> list[Effect]:
        """Time passed: look at every deadline."""
        self.wake_at = now.at + self._tick_s
        effects = self._check_link(now)
        events = self._ledger.overdue(now)
        if events:
            effects.append(Emit(events))
        effects += self._check_subscriptions(now)
        effects += self._check_books(now)
        effects += self._check_accounts(now)
        effects += self._probe_silent(now)
        return effects

    def answered(self, fetch: Fetch, answer: bytes | None, now: Moment) -> list[Effect]:
        """REST answered (None: it could not be asked)."""
        subscription = self._subscriptions[fetch.stream]
        if fetch.question is Question.STATE:
            return self._judge_crossed(subscription, answer, now)
        subscription.is_probed = False
        if answer is None:
            return []
        try:
            newest = self._exchange.rest_api.newest_mark(fetch.stream, answer)
        except FrameError as error:
            return [Warn(str(error))]
        return self._judge_silence(subscription, newest, now)

    def closed(self, reason: str, now: Moment, code: int | None = None) -> list[Effect]:
        """The connection is gone, and its books are in doubt until another one brings their snapshots. ``code``: of
        the exchange's close frame."""
        is_slow = code is not None and code == self._exchange.slow_reader_code
        cause = "SlowReading" if is_slow else "Disconnected"
        events = self._ledger.disconnected(self._number, self._subscriptions, reason, now, cause)
        if not self._needs_login or self._was_refused or code not in self._exchange.key_refused_codes:
            return [Emit(events)]
        return [Emit(events), *self._reject_key(f"the exchange closed the connection: {reason}", now)]

    def stopped(self, now: Moment) -> list[Effect]:
        """The connection is ended on purpose: nothing more is expected of it."""
        return [Emit(self._ledger.stopped(self._number, self._subscriptions, now))]

    # -- data

    def _on_batch(self, batch: Batch, now: Moment) -> list[Effect]:
        subscription = self._subscriptions[batch.stream]
        page = subscription.page
        if subscription.acked_at is None:
            self._is_served(subscription, now)  # data may come before the ack
        data_type = batch.stream.data_type
        if data_type is ORDERBOOK:
            return self._on_books(subscription, batch.records, now)
        if not batch.records:
            return []
        records: Sequence[Record] = batch.records
        if data_type is TRADE and self._exchange.has_dense_trade_ids:
            records = self._ledger.trades(page, cast(Sequence[Trade], records), now)
        elif data_type is CANDLE:
            records = self._ledger.candles(page, cast(Sequence[Candle], records), now)
        subscription.has_data = True
        page.note(batch.records[-1], now)
        return [Emit(records)] if records else []

    def _on_books(self, subscription: Subscription, records: Sequence[Data], now: Moment) -> list[Effect]:
        if len(records) == 1:  # nearly always
            return self._on_book(subscription, cast(Orderbook, records[0]), now)
        return [effect for record in records for effect in self._on_book(subscription, cast(Orderbook, record), now)]

    def _on_book(self, subscription: Subscription, record: Orderbook, now: Moment) -> list[Effect]:
        if record.action == "snapshot":
            return self._on_snapshot(subscription, record, now)
        return self._on_update(subscription, record, now)

    def _on_snapshot(self, subscription: Subscription, snapshot: Orderbook, now: Moment) -> list[Effect]:
        """Replaces the whole book; may come at any time (docs/exchanges/okx.md section 6, steps 1 and 5)."""
        book = Book(snapshot)
        if not self._is_intact(book, snapshot):
            return self._doubt(subscription, "ChecksumMismatch", describe_link(subscription, snapshot), now)
        if subscription.was_crossed and is_crossed(book):
            return self._doubt(subscription, "Crossed", "the new snapshot, too", now)
        subscription.was_crossed = False
        subscription.book = book
        subscription.has_data = True
        subscription.crossed_since = None
        subscription.asked_at = None
        records = self._ledger.book_began(subscription.page, self._number, book, snapshot, now)
        subscription.page.note(snapshot, now)
        return [Emit(records)] if records else []

    def _on_update(self, subscription: Subscription, update: Orderbook, now: Moment) -> list[Effect]:
        book = subscription.book
        if book is None:  # in doubt: the gap is recorded, a new snapshot is asked for
            self._ledger.skipped_updates += 1
            return []
        if not follows(book, update):
            return self._doubt(subscription, "SequenceGap", describe_link(subscription, update), now)
        book.apply(update)
        if update.checksum is not None and not self._exchange.is_intact(book, update.checksum):
            return self._doubt(subscription, "ChecksumMismatch", describe_link(subscription, update), now)
        page = subscription.page
        page.note(update, now)
        if update.previous_sequence != page.head:
            return []  # another connection has published it, or will
        page.head = update.sequence
        return [Emit([update])]

    def _is_intact(self, book: Book, record: Orderbook) -> bool:
        return record.checksum is None or self._exchange.is_intact(book, record.checksum)

    def _doubt(self, subscription: Subscription, reason: str, detail: str, now: Moment) -> list[Effect]:
        """The book cannot be proved right: stop publishing it, say so, ask for a new snapshot (steps 2 and 8)."""
        stream = subscription.page.stream
        subscription.book = None
        subscription.resyncs = (*(at for at in subscription.resyncs if now.at - at < RESYNC_WINDOW_S), now.at)
        detail = f"{reason}: {detail}"
        events = [
            *self._ledger.book_ended(subscription.page, self._number, reason, now),
            self._ledger.resync(stream, detail, now),
        ]
        effects: list[Effect] = [Emit(events), Warn(f"{stream}: {detail}; asking for a new snapshot")]
        attempts = len(subscription.resyncs)
        if attempts > MAX_RESYNCS:
            return [*effects, Reconnect(f"{stream} lost its sequence {attempts} times in {RESYNC_WINDOW_S:g} s")]
        if attempts == 1:
            return effects + self._resubscribe([stream], now)
        subscription.ask_again_at = now.at + RETRY_S[min(attempts - 2, len(RETRY_S) - 1)]
        return effects

    # -- everything else that is received

    def _on_control(self, message: Message, now: Moment) -> list[Effect]:
        match message:
            case Ack(stream):
                self._is_served(self._subscriptions[stream], now)
            case AccountUpdate():
                return self._on_holdings(message, now)
            case LoggedIn():
                self._is_logging_in = False
                return self._ask(list(self._subscriptions), now)
            case LoginRefusal():
                return self._on_login_refusal(message, now)
            case Pong():
                self.pongs_received += 1
            case Refusal():
                return self._on_refusal(message, now)
            case CloseNotice(text):
                return [Replace(f"the exchange announced: {text}")]
        return []

    def _is_served(self, subscription: Subscription, now: Moment) -> None:
        if subscription.page.stream.data_type not in (DataType.ORDERBOOK, DataType.BALANCE):
            subscription.asked_at = None  # these two begin with a whole state
        subscription.ask_again_at = None
        subscription.acked_at = now.at
        subscription.refusals = 0
        if subscription.page.state is StreamState.REFUSED:
            self._ledger.ask_again(subscription.page, now)

    def _on_refusal(self, refusal: Refusal, now: Moment) -> list[Effect]:
        open_streams = [s for s in refusal.streams if self._subscriptions[s].acked_at is None]
        if len(open_streams) > 1 and refusal.is_permanent:
            return self._narrow_down(open_streams, now)
        effects: list[Effect] = [Warn(f"{', '.join(map(str, open_streams)) or 'a request'}: {refusal.message}")]
        for stream in open_streams:
            effects += self._refuse(self._subscriptions[stream], refusal, now)
        return effects

    def _narrow_down(self, streams: Sequence[Stream], now: Moment) -> list[Effect]:
        """A request for several streams was refused without saying which one is wrong: ask for each half alone."""
        middle = len(streams) // 2
        return [*self._ask(streams[:middle], now), *self._ask(streams[middle:], now)]

    def _refuse(self, subscription: Subscription, refusal: Refusal, now: Moment) -> list[Effect]:
        wait = REFUSED_RETRY_S if refusal.is_permanent else RETRY_S[min(subscription.refusals, len(RETRY_S) - 1)]
        subscription.refusals += 1
        subscription.asked_at = None
        subscription.ask_again_at = now.at + wait
        events = self._ledger.refuse(subscription.page, refusal.reason, refusal.message, now)
        return [Emit(events)] if events else []

    def _unreadable(self, frame: bytes, reason: str, now: Moment) -> list[Effect]:
        if self._is_logging_in:
            frame, reason = NOT_KEPT.encode(), "a frame during the login cannot be read"
        self._ledger.unreadable(reason, frame, now)
        self._unreadable_in_a_row += 1
        if self._unreadable_in_a_row >= MAX_UNREADABLE:
            return [Warn(reason), Reconnect(f"{MAX_UNREADABLE} unreadable frames in a row; the last: {reason}")]
        return [Warn(reason)]

    # -- deadlines

    def _check_link(self, now: Moment) -> list[Effect]:
        """After each received frame a timer runs; it ends with a ping, and without an answer with the connection."""
        if self._pinged_at is not None:
            if now.at - self._pinged_at >= self._ping_interval_s:
                return [Reconnect(f"no answer to a ping for {self._ping_interval_s:g} s")]
            return []
        if now.at - self._received_at < self._ping_interval_s:
            return []
        self._pinged_at = now.at
        self.pings_sent += 1
        return [Send(self._exchange.heartbeat.ping)]

    def _check_subscriptions(self, now: Moment) -> list[Effect]:
        subscriptions, patience_s = self._subscriptions.values(), self._subscribe_timeout_s
        stuck = [s for s in subscriptions if s.asked_at is not None and now.at - s.asked_at >= patience_s]
        if stuck:
            names = ", ".join(str(s.page.stream) for s in stuck[:3])
            return [Reconnect(f"no answer to subscribe for {patience_s:g} s: {names}")]
        due = [s.page.stream for s in subscriptions if s.ask_again_at is not None and now.at >= s.ask_again_at]
        return self._resubscribe(due, now) if due else []

    def _ask(self, streams: Sequence[Stream], now: Moment) -> list[Effect]:
        for stream in streams:
            self._subscriptions[stream].asked_at = now.at
            self._subscriptions[stream].ask_again_at = None
        return [effect for text in self._talk.subscribe(streams) for effect in self._send(text, now)]

    def _resubscribe(self, streams: Sequence[Stream], now: Moment) -> list[Effect]:
        served = [stream for stream in streams if self._subscriptions[stream].acked_at is not None]
        for stream in served:
            self._subscriptions[stream].acked_at = None
        farewell = self._talk.unsubscribe(served) if served else []
        return [*(effect for text in farewell for effect in self._send(text, now)), *self._ask(streams, now)]

    def _send(self, text: str, now: Moment) -> list[Effect]:
        return [Emit([self._raw("out", text, now)]), Send(text)] if self._store_raw else [Send(text)]

    # -- login, and what the account holds

    def _log_in(self, now: Moment) -> list[Effect]:
        """Nothing of the frame is stored. Until it is answered, the streams count as asked for."""
        for subscription in self._subscriptions.values():
            subscription.asked_at = now.at
        raw: list[Effect] = [Emit([self._raw("out", NOT_KEPT, now)])] if self._store_raw else []
        return [*raw, Login()]

    def _on_login_refusal(self, refusal: LoginRefusal, now: Moment) -> list[Effect]:
        self._was_refused = True
        effects: list[Effect] = [CheckClock()] if refusal.is_about_time else []
        if refusal.is_permanent:
            effects += self._reject_key(refusal.message, now)
        return [*effects, Reconnect(refusal.message)]

    def _reject_key(self, message: str, now: Moment) -> list[Effect]:
        pages = [subscription.page for subscription in self._subscriptions.values()]
        events = [event for page in pages for event in self._ledger.refuse(page, CREDENTIALS_REFUSED, message, now)]
        return [Emit(events), RejectKey()]

    def _on_holdings(self, told: AccountUpdate, now: Moment) -> list[Effect]:
        subscription = self._subscriptions[told.stream]
        page = subscription.page
        if subscription.acked_at is None:
            self._is_served(subscription, now)
        if told.is_whole:
            subscription.asked_at = None
            subscription.has_data = True
        records = self._ledger.balances(page, told, now)
        if told.balances:
            page.note_state(told.balances[-1], now)
        else:
            self._confirm(page, now)
        return [Emit(records)] if records else []

    def _check_accounts(self, now: Moment) -> list[Effect]:
        """An account in which nothing happens is quiet as long as the link lives: pushes come when something changes.
        REST is not asked, which would need the key once more; the whole account is asked for instead, seldom."""
        accounts = [sub for sub in self._subscriptions.values() if sub.page.stream.data_type is DataType.BALANCE]
        effects: list[Effect] = []
        for subscription in accounts:
            if not subscription.has_data or subscription.acked_at is None:
                continue
            if now.at - max(subscription.page.last_at, subscription.acked_at) >= ACCOUNT_REPEAT_S:
                effects += self._resubscribe([subscription.page.stream], now)
            elif now.at - self._received_at <= 2 * self._ping_interval_s:
                self._confirm(subscription.page, now)
        return effects

    def _confirm(self, page: StreamLedger, now: Moment) -> None:
        page.confirmed_at = now.at
        page.age(now, self._ledger.stale_after_s)

    # -- a crossed book: an auction, or a mistake?

    def _check_books(self, now: Moment) -> list[Effect]:
        return [effect for sub in self._subscriptions.values() if sub.book for effect in self._check_book(sub, now)]

    def _check_book(self, subscription: Subscription, now: Moment) -> list[Effect]:
        assert subscription.book is not None
        if not is_crossed(subscription.book):
            subscription.crossed_since = None
        elif subscription.crossed_since is None:
            subscription.crossed_since = now.at
        elif now.at - subscription.crossed_since >= CROSSED_S:
            subscription.crossed_since = now.at + AUCTION_PATIENCE_S  # not asked again before
            stream = subscription.page.stream
            return [Fetch(stream, Question.STATE, self._exchange.rest_api.state(stream))]
        return []

    def _judge_crossed(self, subscription: Subscription, answer: bytes | None, now: Moment) -> list[Effect]:
        """In a call auction a book may be crossed (docs/exchanges/okx.md section 6); otherwise, or if nobody can tell,
        it is
        in doubt."""
        book = subscription.book
        if book is None or subscription.crossed_since is None or not is_crossed(book):
            return []
        try:
            is_trading = answer is None or self._exchange.rest_api.is_trading(subscription.page.stream, answer)
        except FrameError:
            is_trading = True
        if is_trading:
            subscription.was_crossed = True
            return self._doubt(subscription, "Crossed", "best bid at or above best ask", now)
        return [Warn(f"{subscription.page.stream}: the book is crossed, and the instrument is in an auction")]

    # -- silence: a quiet market or a dead stream?

    def _probe_silent(self, now: Moment) -> list[Effect]:
        """Asks REST about streams that have been silent for long, a few at a time, the longest silent first."""
        under_way = sum(subscription.is_probed for subscription in self._subscriptions.values())
        silent = sorted((s for s in self._subscriptions.values() if self._is_doubtful(s, now)), key=probed_at)
        effects: list[Effect] = []
        for subscription in silent[: MAX_PROBES - under_way]:
            subscription.is_probed = True
            subscription.probed_at = now.at
            stream = subscription.page.stream
            effects.append(Fetch(stream, Question.NEWEST, self._exchange.rest_api.newest(stream)))
        return effects

    def _is_doubtful(self, subscription: Subscription, now: Moment) -> bool:
        is_account = subscription.page.stream.data_type is DataType.BALANCE
        if is_account or subscription.is_probed or subscription.acked_at is None:
            return False
        patience = self._ledger.stale_after_s / 2
        if subscription.page.last_at < subscription.acked_at:
            patience = min(patience, PROBE_AFTER_S)  # what came while nobody was connected is found at once
        silent_since = max(subscription.page.last_at, subscription.acked_at, subscription.probed_at)
        return now.at - silent_since >= patience

    def _judge_silence(self, subscription: Subscription, newest: int, now: Moment) -> list[Effect]:
        """Quiet when REST has nothing above our newest mark; otherwise the stream is dead and is asked for again."""
        page = subscription.page
        if page.stream.data_type is DataType.ORDERBOOK and subscription.book is None:
            return []  # a book without a snapshot is never merely quiet
        known = subscription.probe_mark if page.last is None else self._exchange.rest_api.mark(page.last)
        subscription.probe_mark = newest
        if known is not None and newest <= known:
            self._confirm(page, now)
            return []
        self._ledger.expect(page, newest, now)
        if page.state is not StreamState.STALE or subscription.acked_at is None:
            return []
        reason = f"silent, but the exchange has newer data ({newest} after {known})"
        events: list[Record] = [self._ledger.resync(page.stream, reason, now)]
        if subscription.book is not None:
            subscription.book = None
            events += self._ledger.book_ended(page, self._number, "Silent", now)
        return [Emit(events), Warn(f"{page.stream}: {reason}"), *self._resubscribe([page.stream], now)]

    def _raw(self, direction: Literal["in", "out"], text: str, now: Moment) -> Raw:
        return Raw(self._exchange.name, None, None, now.wall_ns, self.route, direction, text)
