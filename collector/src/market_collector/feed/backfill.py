"""Fills gaps in trades and candles from the exchange's history, for all streams of the process.

Pure, like a `Feed`: `next_request` returns the request to send, `answered` and `failed` take its outcome. There is one
request at a time, for the newest gap first. `net.rest` paces it together with all other REST requests.

A page of history says which ids it covers. A gap is filled from its first id, in order, by as many pages as it takes.
A page that continues the last one is requested with its cursor, if the exchange has cursors.

REST caches lag behind the stream, so an id that a page lacks is requested again. It is lost only after
`GIVE_UP_ANSWERS` answers lacked it for `GIVE_UP_AFTER_S`. A failed request proves nothing: the gap stays open. Where a
page lacks all of its ids, a `HistorySearch` finds the next id that history has: all before it are lost in one step.
"""

from collections.abc import Container, Mapping, Sequence

import msgspec

from market_collector.book.continuity import IdRange
from market_collector.errors import FrameError
from market_collector.exchanges.interface import History, HistoryRange, Request, RestApi
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.gaps import KnownGap, joined
from market_collector.feed.history_search import HistorySearch
from market_collector.feed.ledger import Ledger
from market_collector.feed.retries import GIVE_UP_AFTER_S, GIVE_UP_ANSWERS, delay_s
from market_collector.model.events import Data, Record
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream

WARN_AGAIN_S = 300.0
"""A stream's gaps often fail for one reason: that is repeated in the log after this time."""
WITHOUT_DIGITS = str.maketrans("", "", "0123456789")


class HistoryRequest(msgspec.Struct, frozen=True):
    """Request for ids ``first`` to ``last`` of a gap."""

    gap_id: str
    """"" for candles that may not exist, before a gap is opened for them."""
    stream: Stream
    first: int
    last: int
    cursor: str | None
    request: Request | None
    """None if the exchange's history cannot have the ids."""


class Attempt(msgspec.Struct):
    """Requests made for one gap."""

    next_at: float = 0.0
    failures: int = 0
    """Errors and incomplete answers in a row."""
    lacking: tuple[int, int] | None = None
    """The first id that answers lack, and the last one that is lost with it."""
    lacking_since: float = 0.0
    lacking_answers: int = 0
    """Answers that lacked them."""
    agreed: set[int] = msgspec.field(default_factory=set)
    """Ids of a page that all these answers lacked."""
    has_unreadable: bool = False
    """Whether the last answer had rows that cannot be read."""
    continues: tuple[int, str] | None = None
    """The id with which the next page should start, and the last page's cursor."""
    search: HistorySearch | None = None
    """For the next id that history has, after a page that had none of the missing ids."""

    def retry_later(self, now: float) -> None:
        """Delay the next request."""
        self.next_at = now + delay_s(self.failures)
        self.failures += 1

    def lacks(self, first: int, last: int, now: float) -> bool:
        """Count an answer that lacks these ids; returns whether to give them up."""
        if self.lacking != (first, last):
            self.lacking, self.lacking_since, self.lacking_answers, self.failures = (first, last), now, 0, 0
        self.lacking_answers += 1
        return self.lacking_answers >= GIVE_UP_ANSWERS and now - self.lacking_since >= GIVE_UP_AFTER_S

    def agree(self, lacking: Sequence[int], now: float) -> set[int]:
        """Count an answer of a page that lacks ids, in order. Returns those to give up: that all answers lacked."""
        is_over = self.lacks(lacking[0], lacking[0], now)
        self.agreed = set(lacking) if self.lacking_answers == 1 else self.agreed.intersection(lacking)
        return self.agreed if is_over else set()


class Backfiller:
    """Backfills of all streams of one process."""

    def __init__(self, rest_api: RestApi, ledger: Ledger) -> None:
        self._rest_api = rest_api
        self._ledger = ledger
        self._attempts: dict[str, Attempt] = {}
        self._asked: dict[Stream, tuple[int, int]] = {}
        """The candles of each stream that were last asked for because they may not exist."""
        self._warned: dict[Stream, tuple[str, float]] = {}
        """The last warning about each stream, without ids, and when it was given."""

    def next_request(self, now: Moment, full_sinks: Container[str] = ()) -> HistoryRequest | None:
        """Return the request for the newest gap that is due. Gaps of a full sink wait until it has room.

        Candles that may not exist come first, because records wait for them.
        """
        if (question := self._skipped()) is not None:
            return question
        gaps = [known for known in self._ledger.gaps.all_open() if known.stream in self._ledger.ids.streams]
        self._attempts = {known.gap.gap_id: self._attempts.get(known.gap.gap_id, Attempt()) for known in gaps}
        for known in reversed(gaps):
            is_due = now.at >= self._attempts[known.gap.gap_id].next_at and known.sink not in full_sinks
            if is_due and (missing := self._ledger.ids.still_missing(known)):
                return self._request(known, missing)
        return None

    def _skipped(self) -> HistoryRequest | None:
        """Return the request for candles that may not exist, once for each range."""
        for stream, first, last in self._ledger.ids.skipped():
            if self._asked.get(stream) != (first, last):
                self._asked[stream] = first, last
                request = self._rest_api.history(stream, HistoryRange(first, last, last))
                if request is not None:
                    return HistoryRequest("", stream, first, last, None, request)
        return None

    def _on_skipped(self, request: HistoryRequest, body: bytes, now: Moment) -> list[Emit | Warn]:
        """Open a gap for skipped candles only if history has one. An answer that proves neither changes nothing."""
        try:
            history = self._rest_api.read_history(request.stream, body, now.wall_ns)
        except FrameError:
            return []
        progress = self._ledger.ids.streams[request.stream]
        numbers = [progress.id_of(record) for record in history.records]
        is_there = any(request.first <= number <= request.last for number in numbers)
        _, end = history.covers
        is_covered = min(numbers, default=request.first) < request.first and (end is None or end >= request.last)
        if not is_there and (history.unreadable or not is_covered):
            return []
        records = self._ledger.ids.settle_skipped(
            request.stream, request.first, request.last, now, are_empty=not is_there
        )
        return [Emit(records)] if records else []

    def _request(self, known: KnownGap, missing: Sequence[IdRange]) -> HistoryRequest:
        first = missing[0].first
        attempt = self._attempts[known.gap.gap_id]
        if attempt.search is not None and attempt.search.first != first:  # late rows have filled it
            attempt.search = None
        if attempt.search is not None:
            last = attempt.search.next_page(missing[0].last)
        else:
            last = min(missing[-1].last, first + self._rest_api.history_page - 1)
        newest = self._ledger.ids.streams[known.stream].ids.last_id or last
        cursor = attempt.continues[1] if attempt.continues is not None and attempt.continues[0] == first else None
        part = HistoryRange(first, last, newest, missing[0].from_ns or known.gap.from_time_ns, cursor)
        rest_request = self._rest_api.history(known.stream, part)
        return HistoryRequest(known.gap.gap_id, known.stream, first, last, cursor, rest_request)

    def failed(self, request: HistoryRequest, reason: str, now: Moment) -> list[Emit | Warn]:
        """The request failed: keep the gap open and retry later."""
        attempt = self._attempts.get(request.gap_id)
        if attempt is None:
            return []
        attempt.retry_later(now.at)
        kind = reason.translate(WITHOUT_DIGITS)
        before, warned_at = self._warned.get(request.stream, ("", 0.0))
        if kind == before and now.at - warned_at < WARN_AGAIN_S:
            return []
        self._warned[request.stream] = kind, now.at
        return [Warn(f"{request.stream}: {request.first} to {request.last} cannot be backfilled yet: {reason}")]

    def out_of_reach(self, request: HistoryRequest, now: Moment) -> list[Emit | Warn]:
        """History cannot have the ids: give them up."""
        known = self._ledger.gaps.known[request.gap_id]
        return self._given_up(known, self._window(known, request.first, request.last), {}, [], now)

    def answered(self, request: HistoryRequest, body: bytes, now: Moment) -> list[Emit | Warn]:
        """REST answered: emit the missing records in order, and give up ids that are lost."""
        if not request.gap_id:
            return self._on_skipped(request, body, now)
        known, attempt = self._ledger.gaps.known.get(request.gap_id), self._attempts.get(request.gap_id)
        if known is None or attempt is None or known.state is not GapState.OPEN:
            return []  # merged with a neighbour or filled by late rows meanwhile
        try:
            history = self._rest_api.read_history(request.stream, body, now.wall_ns)
        except FrameError as error:
            return self.failed(request, str(error), now)
        progress = self._ledger.ids.streams[request.stream]
        attempt.has_unreadable = history.unreadable > 0
        found = {progress.id_of(record): record for record in history.records}
        _, end = history.covers
        if end is not None and end < request.first:
            return _turn_page(attempt, request, history, now)
        if attempt.search is not None:
            return self._search(known, attempt, request, history, found, now)
        return self._take(known, attempt, request, history, found, now)

    def _take(
        self,
        known: KnownGap,
        attempt: Attempt,
        request: HistoryRequest,
        history: History,
        found: Mapping[int, Data],
        now: Moment,
    ) -> list[Emit | Warn]:
        covered = request.last if history.covers[1] is None else min(request.last, history.covers[1])
        attempt.continues = None if history.next is None else (covered + 1, history.next)
        window = self._window(known, request.first, covered)
        wanted = [number for each in window for number in range(each.first, each.last + 1)]
        lacking = [number for number in wanted if number not in found]
        lost = attempt.agree(lacking, now.at) if lacking else set[int]()
        if not lacking:
            attempt.failures = 0
        elif not lost:
            self._look_again(known, attempt, request, has_any=len(lacking) < len(wanted), now=now)
        end = next((number for number in lacking if number not in lost), covered + 1)
        there = [found[number] for number in wanted if number in found and number < end]
        records: list[Record] = self._ledger.ids.backfill(known, there, now)
        ranges = joined(IdRange(number, number, now.at) for number in sorted(lost))
        return self._given_up(known, ranges, found, records, now)

    def _look_again(
        self, known: KnownGap, attempt: Attempt, request: HistoryRequest, *, has_any: bool, now: Moment
    ) -> None:
        """Retry later, or search at once where none of the page's ids are in history and more are missing."""
        page = self._rest_api.history_page
        missing = self._ledger.ids.still_missing(known)[0]
        if has_any or missing.first != request.first or missing.last < missing.first + page:
            attempt.retry_later(now.at)
        else:
            attempt.search = HistorySearch(missing.first, page, low=request.last + 1)

    def _search(
        self,
        known: KnownGap,
        attempt: Attempt,
        request: HistoryRequest,
        history: History,
        found: Mapping[int, Data],
        now: Moment,
    ) -> list[Emit | Warn]:
        """Continue a search. Give up all ids before the next one that history has, once enough answers agree."""
        search = attempt.search
        assert search is not None
        start, _ = history.covers
        search.take(request.last, found, reaches_back=start is None or start <= search.first)
        if search.high == search.first:
            attempt.search = None  # history has the first id by now
        elif search.is_contradicted:
            attempt.retry_later(now.at)
        if attempt.search is None or not (search.is_found or search.is_blind):
            return []
        last = search.low - 1 if search.is_found else search.first + search.page - 1
        if search.is_blind:
            search.low = search.first
        if not attempt.lacks(search.first, last, now.at):
            attempt.retry_later(now.at)
            return []
        attempt.search = None
        return self._given_up(known, self._window(known, search.first, last), found, [], now)

    def _window(self, known: KnownGap, first: int, last: int) -> list[IdRange]:
        """Return the ranges still missing among ``first`` to ``last``."""
        return [
            IdRange(max(each.first, first), min(each.last, last), each.since)
            for each in self._ledger.ids.still_missing(known)
            if each.first <= last and each.last >= first
        ]

    def _given_up(
        self,
        known: KnownGap,
        ranges: Sequence[IdRange],
        found: Mapping[int, Data],
        records: list[Record],
        now: Moment,
    ) -> list[Emit | Warn]:
        """Return the effects of ids given up (may be none), after the records that history has.

        They are lost, except candles that history skips between others: nothing was traded in them.
        A row that cannot be read may be any of them, so that nothing is skipped for certain.
        """
        effects: list[Emit | Warn] = []
        if ranges:
            has_unreadable = self._attempts[known.gap.gap_id].has_unreadable
            is_skipped = any(number < ranges[0].first for number in found) and not has_unreadable
            is_candle = known.stream.data_type is DataType.CANDLE
            give_up = self._ledger.ids.mark_nonexistent if is_candle and is_skipped else self._ledger.ids.lose
            records = [*records, *give_up(known, ranges, now)]
            ids = f"{sum(each.size for each in ranges)} of {ranges[0].first} to {ranges[-1].last}"
            absent = "cannot be read in" if has_unreadable else "are not in"
            effects.append(Warn(f"{known.stream}: {ids} {absent} the exchange's history"))
        return [*effects, Emit(records, known.sink)] if records else effects


def _turn_page(attempt: Attempt, request: HistoryRequest, history: History, now: Moment) -> list[Emit | Warn]:
    """Go on to the next page, after one that ended before the missing ids: a time may have many records."""
    if history.next is None or history.next == request.cursor:
        attempt.retry_later(now.at)
    else:
        attempt.continues = request.first, history.next
    return []
