"""Login of one connection, and the account streams that need it."""

from typing import cast

from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import Access, AccountUpdate, LoginRefusal, Polls, ProblemKind, Route
from market_collector.feed.effects import (
    Answer,
    CheckClock,
    Effect,
    Emit,
    Fetch,
    Question,
    Reconnect,
    RejectKey,
    SendSigned,
)
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import AccountProgress
from market_collector.feed.subscription import Subscriptions
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

ACCOUNT_REPEAT_S = 300.0
"""An account without updates for this long is subscribed again for a full snapshot. That proves the stream alive, and
bounds how long a balance can be wrong."""
ACCOUNT_RETRY_S = 10.0
"""Delay after an account that REST did not give."""
CREDENTIALS_REFUSED = "CredentialsRefused"
NOT_KEPT = "(not kept: it belongs to a login)"
"""Replaces the text of a frame in records and errors until the login is over."""


class AccountLogin:
    """Login state and account streams of one connection."""

    def __init__(self, ledger: Ledger, subscriptions: Subscriptions, route: Route, polls: Polls | None) -> None:
        self._route = route
        self._polls = None if route.sends_whole_accounts else polls
        """Set if accounts are requested over REST."""
        self._account_due_at = float("-inf")
        """When the account is requested over REST next, monotonic seconds. Infinite while a request is under way."""
        self._requested_for: float | None = None
        """When the subscription was acknowledged after which the account was last requested over REST."""
        self._awaits_login = route.access is Access.LOGIN
        self._was_refused = False
        """A close frame after a refused login adds nothing."""
        self._ledger = ledger
        self._subscriptions = subscriptions

    # -- login

    @property
    def is_pending(self) -> bool:
        """Whether a signed frame is not answered yet; until then no frame's text is kept."""
        return self._awaits_login or self._subscriptions.awaits_signed

    def start(self, now: Moment) -> list[Effect]:
        """Log in, or subscribe where no login is needed."""
        return self._log_in(now) if self._awaits_login else self._subscriptions.subscribe_all(now)

    def _log_in(self, now: Moment) -> list[Effect]:
        """Request the login. Until it is answered, all streams count as requested."""
        for subscription in self._subscriptions.by_stream.values():
            subscription.asked_at = now.at
        raw: list[Effect] = [self._subscriptions.raw("out", NOT_KEPT, now)] if self._subscriptions.store_raw else []
        self._subscriptions.outbox.note_sent(now.at)
        return [*raw, SendSigned(self._route.login_frame)]

    def on_success(self, now: Moment) -> list[Effect]:
        """Subscribe once the login succeeded."""
        self._awaits_login = False
        return self._subscriptions.subscribe_all(now)

    def on_refusal(self, refusal: LoginRefusal, now: Moment) -> list[Effect]:
        """Reconnect after a refused login; a permanent refusal rejects the key."""
        self._was_refused = True
        effects: list[Effect] = [CheckClock()] if refusal.is_about_time else []
        if refusal.is_permanent:
            effects += self._reject_key(refusal.message, now)
        return [*effects, Reconnect(refusal.message)]

    def on_refusing_close(self, reason: str, now: Moment) -> list[Effect]:
        """Reject the key: the exchange closed the connection with a code that says so."""
        if self._route.access is Access.PUBLIC or self._was_refused:
            return []
        return self._reject_key(f"the exchange closed the connection: {reason}", now)

    def _reject_key(self, message: str, now: Moment) -> list[Effect]:
        found = [subscription.progress for subscription in self._subscriptions.by_stream.values()]
        events = [event for each in found for event in self._ledger.refuse(each, CREDENTIALS_REFUSED, message, now)]
        return [Emit(events), RejectKey()]

    # -- account streams

    def on_account_update(self, update: AccountUpdate, now: Moment) -> list[Effect]:
        """Emit the balances that changed."""
        subscription = self._subscriptions.by_stream[update.stream]
        progress = cast(AccountProgress, subscription.progress)
        if subscription.acked_at is None:
            self._subscriptions.acknowledge(subscription, now)
        if update.is_whole:
            subscription.asked_at = subscription.ask_again_at = None
            subscription.unreadable = 0
            subscription.has_data = True
        records = self._ledger.take_account(progress, update, now)
        return [Emit(records)] if records else []

    def check_accounts(self, now: Moment, *, is_connection_alive: bool) -> list[Effect]:
        """Confirm accounts without updates as quiet while the connection is alive: pushes come only with changes.

        Every `ACCOUNT_REPEAT_S`, the account is subscribed again, or requested over REST if subscriptions do not
        start with all of it.
        """
        effects: list[Effect] = []
        for stream, subscription in self._subscriptions.by_stream.items():
            if stream.data_type is not DataType.BALANCE or subscription.acked_at is None:
                continue
            if self._polls is not None and self._is_account_due(subscription.acked_at, now):
                self._account_due_at, self._requested_for = float("inf"), subscription.acked_at
                effects.append(Fetch(stream, Question.ACCOUNT, self._polls.request(stream)))
            if not subscription.has_data:
                continue
            silent_s = now.at - max(subscription.progress.last_at, subscription.acked_at)
            if self._polls is None and silent_s >= ACCOUNT_REPEAT_S:
                effects += self._subscriptions.resubscribe([stream], now)
            elif is_connection_alive:
                self._ledger.confirm(subscription.progress, now)
        return effects

    def _is_account_due(self, acked_at: float, now: Moment) -> bool:
        """Whether to request the account. Changes before a new subscription are only in a later answer."""
        return now.at >= self._account_due_at or acked_at != self._requested_for

    def on_account_answer(self, stream: Stream, answer: Answer, now: Moment) -> list[Effect]:
        """Take an account from REST. Without one, the stream is unconfirmed until the next answer."""
        assert self._polls is not None
        subscription = self._subscriptions.by_stream[stream]
        try:
            if isinstance(answer, RequestFailedError):
                raise answer
            update = self._polls.read(stream, answer, now.wall_ns)
        except (RequestFailedError, FrameError) as error:
            self._account_due_at = now.at + (ACCOUNT_REPEAT_S if _is_about_key(error) else ACCOUNT_RETRY_S)
            subscription.asked_at = None  # not a reason to reconnect
            subscription.progress.unchecked = str(error)
            return [*self._ledger.complaints.warn(f"{stream}: account", f"{stream}: {error}", now)]
        assert isinstance(update, AccountUpdate)
        self._account_due_at = now.at + ACCOUNT_REPEAT_S
        subscription.progress.unchecked = ""
        return self.on_account_update(update, now)


def _is_about_key(error: RequestFailedError | FrameError) -> bool:
    """Whether the key was refused. Exchanges block an address that repeats a wrong key."""
    problem = error.problem if isinstance(error, RequestFailedError) else None
    return problem is not None and problem.kind is ProblemKind.KEY
