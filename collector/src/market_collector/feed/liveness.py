"""Liveness of one connection and its streams: pings, and REST probes of streams without data.

Few streams are probed one by one. Many are first compared with one answer about all instruments, where the exchange
offers one, so that the requests do not grow with the streams. `QuietCheck` decides on the answers.
"""

from collections import deque
from collections.abc import Sequence

from market_collector.errors import FrameError, InstrumentRefusedError, RequestFailedError
from market_collector.exchanges.interface import Exchange, Freshness, HeartbeatKind, ProblemKind, Request, Sign, Trading
from market_collector.feed.effects import Answer, Effect, Fetch, Question, Reconnect, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.quiet_check import QuietCheck, seen_of
from market_collector.feed.subscription import StreamSubscription, Subscriptions
from market_collector.model.moment import Moment
from market_collector.model.streams import OF_DERIVATIVES, DataType, StreamState
from market_spec.names import parsed

PROBE_AFTER_S = 2.0
"""An acknowledged stream without any data is probed over REST after this time."""
MAX_CONCURRENT_PROBES = 4
"""Probes of one connection under way at the same time. More streams than this are compared with an overview first."""
LONGEST_PAUSE_S = 30.0
"""After failed probes. The pause starts with 2 s and doubles."""
MAX_BOOKS_COMPARED = 20
"""Books that are compared with an overview in one step; each takes 0.4 ms."""
MAX_QUEUED_PROOFS = 100
"""Streams with an old proof that wait for their probe at the same time. Overviews confirm the others meanwhile."""
OVERVIEW_INTERVAL_S = 5.0
"""Shortest time between two overviews."""
WITHOUT_PROBES = frozenset({DataType.BALANCE, DataType.LIQUIDATION})
"""Their messages come only with changes, and REST has nothing to compare them with."""
HALTS_INTERVAL_S = 60.0
"""Shortest time between two requests for the instruments that do not trade."""


class Liveness:
    """Detects a connection that is down, and streams without data."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        subscriptions: Subscriptions,
        check: QuietCheck,
        ping_interval_s: float,
        dead_after_s: float | None = None,
    ) -> None:
        self.pings_sent = 0
        self.ping_interval_s = min(ping_interval_s, exchange.heartbeat.max_interval_s)
        self._dead_after_s = dead_after_s or exchange.heartbeat.dead_after_s or self.ping_interval_s
        self._exchange = exchange
        self._ledger = ledger
        self._subscriptions = subscriptions
        self._check = check
        self._liquidations = [
            each for stream, each in subscriptions.by_stream.items() if stream.data_type is DataType.LIQUIDATION
        ]
        self._pinged_at = float("-inf")
        self._compared: list[StreamSubscription] = []
        """Streams that wait for an overview."""
        self._queue: deque[StreamSubscription] = deque()
        """Streams that wait for a probe of their own."""
        self._under_way = 0
        self._is_overview_failing = False
        self._overview_at = float("-inf")
        self._failures = 0
        """Failed probes in a row."""
        self._resume_at = float("-inf")
        self._warned = ""
        self._halts_asked_at = float("-inf")
        self._halted: dict[str, str] = {}
        """The instruments on the pages so far that do not trade, with their states."""

    # -- the connection

    @property
    def longest_silence_s(self) -> float:
        """Seconds without a sign of life after which the connection has ended."""
        has_pings = self._exchange.heartbeat.kind is HeartbeatKind.PING
        return self._dead_after_s + (self.ping_interval_s if has_pings else 0.0)

    def check_connection(self, alive_at: float, now: Moment) -> list[Effect]:
        """Send the ping that is due; reconnect when there is no sign of life.

        Args:
            alive_at: the last sign of life, monotonic seconds.
        """
        heartbeat = self._exchange.heartbeat
        if heartbeat.kind is not HeartbeatKind.PING:
            return self._end_after(alive_at, f"no {heartbeat.kind.value}", now)
        if self._pinged_at > alive_at:  # not answered yet
            return self._end_after(self._pinged_at, "no answer to a ping", now)
        if now.at - (self._pinged_at if heartbeat.always else alive_at) < self.ping_interval_s:
            return []
        self._pinged_at = now.at
        self.pings_sent += 1
        return self._subscriptions.ping(heartbeat.ping.replace("{id}", str(self.pings_sent)), now)

    def _end_after(self, at: float, silence: str, now: Moment) -> list[Effect]:
        is_dead = now.at - at >= self._dead_after_s
        return [Reconnect(f"{silence} for {self._dead_after_s:g} s")] if is_dead else []

    def confirm_liquidations(self, alive_at: float, now: Moment) -> list[Effect]:
        """Confirm subscribed liquidations while the connection is alive: nothing else can."""
        if now.at - alive_at <= self.longest_silence_s:
            for subscription in self._liquidations:
                if subscription.acked_at is not None:
                    self._ledger.confirm(subscription.progress, now)
        return []

    # -- streams without data

    def probe_idle(self, now: Moment) -> list[Effect]:
        """Probe streams without data over REST, the least recently probed first."""
        if now.at < self._resume_at:
            return []
        latest = now.at - min(self._ledger.stale_after_s / 2, PROBE_AFTER_S)
        streams = self._subscriptions.by_stream.values()
        idle = [each for each in streams if each.progress.last_at <= latest and self._is_idle(each, now)]
        due = [each for each in idle if now.at - each.probed_at >= self._patience_s(each)]
        return [*self._ask_due(due, idle, now), *self._ask_queued(now), *self._ask_halts(now)]

    def _is_idle(self, subscription: StreamSubscription, now: Moment) -> bool:
        """Return whether a stream has had no data for so long that probes are due, and none is under way."""
        progress, acked_at = subscription.progress, subscription.acked_at
        if acked_at is None or subscription.is_probed or progress.stream.data_type in WITHOUT_PROBES:
            return False
        return now.at - max(progress.last_at, progress.unreadable_at, acked_at) >= self._patience_s(subscription)

    def _patience_s(self, subscription: StreamSubscription) -> float:
        """Return the time without data, and between two probes. It is short until a subscribed stream is known."""
        progress, acked_at = subscription.progress, subscription.acked_at or 0.0
        is_known = max(progress.last_at, progress.confirmed_at) >= acked_at or progress.state is StreamState.REFUSED
        is_known = is_known or subscription.is_answer_unreadable
        return self._ledger.stale_after_s / 2 if is_known else min(self._ledger.stale_after_s / 2, PROBE_AFTER_S)

    def _ask_due(
        self, due: Sequence[StreamSubscription], idle: Sequence[StreamSubscription], now: Moment
    ) -> list[Effect]:
        """Request an overview for all idle streams, once one is due; or queue the due ones if they are few.

        No overview tells about the data of derivatives.
        """
        self._queue_up([each for each in due if each.progress.stream.data_type in OF_DERIVATIVES])
        due, idle = _in_overviews(due), _in_overviews(idle)
        if not due:
            return []
        overview = None if self._is_overview_failing else self._exchange.rest_api.overview(self._kind)
        if overview is None or len(idle) <= MAX_CONCURRENT_PROBES:
            return self._queue_up(due)
        if self._compared or now.at - self._overview_at < OVERVIEW_INTERVAL_S:
            return []
        self._overview_at = now.at
        self._compared = self._expect_answers(idle)
        return [Fetch(None, Question.OVERVIEW, overview)]

    def _queue_up(self, due: Sequence[StreamSubscription]) -> list[Effect]:
        for subscription in sorted(self._expect_answers(due), key=lambda each: each.probed_at):
            subscription.seen = None
            self._queue.append(subscription)
        return []

    def _expect_answers(self, asked: Sequence[StreamSubscription]) -> list[StreamSubscription]:
        for subscription in asked:
            subscription.is_probed = True
            self._check.expect_answer(subscription)
        return list(asked)

    def _ask_queued(self, now: Moment) -> list[Effect]:
        """Send the next probes. Books are compared with the overview first, few at once."""
        effects: list[Effect] = []
        for _ in range(min(len(self._queue), MAX_BOOKS_COMPARED)):
            if self._under_way == MAX_CONCURRENT_PROBES:
                break
            subscription = self._queue.popleft()
            if self._check.confirm_book(subscription, now):
                subscription.is_probed = False
            else:
                effects.append(self._probe(subscription, now))
        if not self._queue:
            self._is_overview_failing = False
        return effects

    def _probe(self, subscription: StreamSubscription, now: Moment) -> Fetch:
        stream = subscription.progress.stream
        subscription.probed_at = now.at
        self._under_way += 1
        return Fetch(stream, Question.NEWEST, self._exchange.rest_api.newest(stream))

    def _ask_halts(self, now: Moment) -> list[Effect]:
        """Request the instruments that do not trade, once a stream is quiet for another time."""
        is_wanted = self._check.last_idle_at > self._halts_asked_at
        if not is_wanted or now.at - self._halts_asked_at < HALTS_INTERVAL_S:
            return []
        self._halts_asked_at = now.at
        self._halted.clear()
        return [Fetch(None, Question.HALTS, self._halts_request())]

    def _halts_request(self) -> Request:
        streams = list(self._subscriptions.by_stream)
        has_one_symbol = len({stream.symbol for stream in streams}) == 1
        rest_api = self._exchange.rest_api
        return rest_api.state(streams[0]) if has_one_symbol else rest_api.instruments(self._kind)

    @property
    def _kind(self) -> str:
        """The kind of the connection's instruments."""
        return parsed(next(iter(self._subscriptions.by_stream)).symbol).kind

    # -- answers

    def on_newest(self, subscription: StreamSubscription, answer: Answer, now: Moment) -> list[Effect]:
        """Take the answer to a stream's own probe. A failed probe changes no state but to unknown."""
        subscription.is_probed = False
        self._under_way = max(0, self._under_way - 1)
        try:
            freshness = self._judge(subscription, answer)
        except InstrumentRefusedError as error:
            self._failures = 0
            effects = self._check.on_refusal(subscription, error, now)
        except (RequestFailedError, FrameError) as error:
            if not isinstance(error, FrameError) or error.stream is None:
                return self._on_failure([subscription, *self._withdraw_queue()], error, now)
            effects = self._on_unreadable(subscription, error, now)
        else:
            self._failures, subscription.is_answer_unreadable = 0, False
            effects = self._check.on_freshness(subscription, freshness, now)
        return [*effects, *self._ask_queued(now)]

    def _on_unreadable(self, subscription: StreamSubscription, error: FrameError, now: Moment) -> list[Effect]:
        """The exchange answers, but its data of this stream cannot be read. The probes of others go on."""
        self._failures, subscription.is_answer_unreadable = 0, True
        self._check.leave_unchecked(subscription, str(error), now)
        stream = subscription.progress.stream
        return [
            *self._ledger.complaints.warn(
                f"{stream}: REST", f"{stream}: REST cannot confirm that it is quiet: {error}", now
            )
        ]

    def _judge(self, subscription: StreamSubscription, answer: Answer) -> Freshness:
        """Read the answer. An HTTP error may come with a body that refuses the instrument."""
        stream, seen = subscription.progress.stream, seen_of(subscription)
        if not isinstance(answer, RequestFailedError):
            return self._exchange.rest_api.judge(stream, seen, answer)
        if answer.problem is not None and answer.problem.kind is ProblemKind.NO_SYMBOL:
            self._exchange.rest_api.judge(stream, seen, answer.body)
        raise answer

    def on_overview(self, answer: Answer, now: Moment) -> list[Effect]:
        """Compare the streams that wait with the overview. Those that it cannot settle get a probe of their own."""
        compared, self._compared = self._compared, []
        for subscription in compared:
            subscription.is_probed = False
        try:
            signs = self._exchange.rest_api.read_overview([each.progress.stream for each in compared], _body(answer))
        except (RequestFailedError, FrameError) as error:
            self._is_overview_failing = True
            return self._on_failure(compared, error, now)
        self._failures = 0
        settled = [self._settle(each, signs.get(each.progress.stream, ""), now) for each in compared]
        return [*(effect for effects in settled for effect in effects), *self._ask_queued(now)]

    def _settle(self, subscription: StreamSubscription, sign: Sign, now: Moment) -> list[Effect]:
        """Compare one stream with the overview, unless data came after the overview was requested."""
        if subscription.progress.last_at > self._overview_at:
            return []
        subscription.probed_at = now.at
        effects = self._check.on_sign(subscription, sign, now)
        is_confirmed = subscription.progress.confirmed_at == now.at
        if effects is None and not (is_confirmed and len(self._queue) >= MAX_QUEUED_PROOFS):
            subscription.is_probed = True
            self._queue.append(subscription)
        return effects or []

    def on_halts(self, answer: Answer, now: Moment) -> list[Effect]:
        """Note which instruments do not trade, by all pages. Without an answer nothing changes: probes tell more."""
        rest_api = self._exchange.rest_api
        try:
            self._halted |= rest_api.halted(body := _body(answer))
        except (RequestFailedError, FrameError):
            return []
        if (more := rest_api.more_instruments(body)) is not None:
            return [Fetch(None, Question.HALTS, more)]
        for stream, subscription in self._subscriptions.by_stream.items():
            self._note_halt(subscription, self._halted.get(stream.symbol, ""), now)
        self._halted.clear()
        return []

    def on_trading(self, trading: Trading, now: Moment) -> None:
        """Note which instruments trade, as the exchange announces it."""
        for stream, subscription in self._subscriptions.by_stream.items():
            if trading.symbols is None or stream.symbol in trading.symbols:
                self._note_halt(subscription, trading.halt, now)

    def _note_halt(self, subscription: StreamSubscription, halt: str, now: Moment) -> None:
        subscription.progress.halt = halt
        subscription.progress.age(now, self._ledger.stale_after_s)

    def _withdraw_queue(self) -> list[StreamSubscription]:
        withdrawn = list(self._queue)
        self._queue.clear()
        self._is_overview_failing = False
        for subscription in withdrawn:
            subscription.is_probed = False
        return withdrawn

    def _on_failure(self, asked: Sequence[StreamSubscription], error: Exception, now: Moment) -> list[Effect]:
        """Pause all probes of the connection. The streams stay due."""
        self._failures += 1
        self._resume_at = now.at + min(2.0**self._failures, LONGEST_PAUSE_S)
        for subscription in asked:
            self._check.leave_unchecked(subscription, str(error), now)
        if self._failures > 1 or str(error) == self._warned:
            return []
        self._warned = str(error)
        return [Warn(f"REST cannot confirm that streams without data are quiet: {error}")]


def _in_overviews(subscriptions: Sequence[StreamSubscription]) -> list[StreamSubscription]:
    return [each for each in subscriptions if each.progress.stream.data_type not in OF_DERIVATIVES]


def _body(answer: Answer) -> bytes:
    if isinstance(answer, RequestFailedError):
        raise answer
    return answer
