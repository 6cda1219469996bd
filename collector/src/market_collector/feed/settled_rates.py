"""Requests of one connection for settled funding rates, where the exchange pushes only predicted ones."""

from collections.abc import Sequence
from typing import cast

import msgspec

from market_collector.errors import FrameError, InstrumentRefusedError, RequestFailedError
from market_collector.exchanges.interface import Batch, Polls, Route
from market_collector.feed.effects import Answer, Effect, Emit, Fetch, Question
from market_collector.feed.ledger import Ledger
from market_collector.feed.states import take_funding
from market_collector.feed.stream_state import FundingProgress
from market_collector.feed.subscription import StreamSubscription, Subscriptions
from market_collector.model.events import Funding
from market_collector.model.moment import Moment
from market_collector.model.streams import Stream

FIRST_RETRY_S, LONGEST_RETRY_S = 10.0, 600.0
"""Delays after an answer that lacks the rate of a payment. Each is twice as long as the one before."""


class Payment(msgspec.Struct):
    """The payment whose rate is wanted, and the request for it."""

    due_ns: int
    """When the next one is due, nanoseconds since 1970: once it moves, that payment has passed."""
    passed_ns: int = 0
    """The payment that has passed while this connection was open; 0 if none has."""
    ask_at: float = 0.0
    """When the rate is requested, monotonic seconds. Infinite once it is known, or while a request is under way."""
    retry_s: float = FIRST_RETRY_S


class SettledRates:
    """The funding rates of one connection. Each connection asks at its start, and after each payment."""

    def __init__(self, ledger: Ledger, subscriptions: Subscriptions, route: Route, polls: Polls | None) -> None:
        self._ledger = ledger
        self._polls = None if route.sends_settled_rates else polls
        self._rates: dict[Stream, FundingProgress] = {
            stream: each.progress
            for stream, each in subscriptions.by_stream.items()
            if isinstance(each.progress, FundingProgress)
        }
        self._payments: dict[Stream, Payment] = {}

    def requests(self, now: Moment) -> Sequence[Effect]:
        """Request the rates of the payments that have passed."""
        if self._polls is None:
            return ()
        due = [stream for stream, progress in self._rates.items() if self._is_due(stream, progress, now)]
        return [Fetch(stream, Question.SETTLED, self._polls.request(stream)) for stream in due]

    def _is_due(self, stream: Stream, progress: FundingProgress, now: Moment) -> bool:
        last = cast(Funding | None, progress.last)
        if last is None:
            return False
        payment = self._payments.get(stream)
        if payment is None:
            payment = self._payments[stream] = Payment(last.funding_time_ns)
        elif last.funding_time_ns > payment.due_ns:
            has_passed = (last.exchange_time_ns or 0) >= payment.due_ns  # otherwise the interval has changed
            passed_ns = payment.due_ns if has_passed else payment.passed_ns
            payment = self._payments[stream] = Payment(last.funding_time_ns, passed_ns)
        if now.at < payment.ask_at:
            return False
        payment.ask_at = float("inf")
        return True

    def on_answer(self, subscription: StreamSubscription, answer: Answer, now: Moment) -> list[Effect]:
        """Emit the settled rates that are new. If the one of the last payment is missing, ask again."""
        progress = cast(FundingProgress, subscription.progress)
        stream, payment = progress.stream, self._payments[progress.stream]
        try:
            rates = self._read(stream, answer, now)
        except (RequestFailedError, FrameError, InstrumentRefusedError) as error:
            _ask_again(payment, now)
            message = f"{stream}: the settled rates cannot be read yet: {error}"
            return [*self._ledger.complaints.warn(f"{stream}: settled rates", message, now)]
        if not rates or rates[-1].funding_time_ns < payment.passed_ns:
            _ask_again(payment, now)
        records = take_funding(progress, rates if progress.settled_ns else rates[-1:], now)
        return [Emit(records)] if records else []

    def _read(self, stream: Stream, answer: Answer, now: Moment) -> Sequence[Funding]:
        if isinstance(answer, RequestFailedError):
            raise answer
        assert self._polls is not None
        return cast(Sequence[Funding], cast(Batch, self._polls.read(stream, answer, now.wall_ns)).records)


def _ask_again(payment: Payment, now: Moment) -> None:
    payment.ask_at = now.at + payment.retry_s
    payment.retry_s = min(2 * payment.retry_s, LONGEST_RETRY_S)
