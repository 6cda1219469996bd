"""Fills gaps in trades and candles from the exchange's history, for all streams of the process.

Pure, like a `Feed`: `next_request` returns the request to send, `answered` and `failed` take its outcome. There is one
request at a time, for the newest gap first. `net.rest` paces it together with all other REST requests.

Ids are consecutive, so a history page that ends with id n holds ids n - 99 to n. A gap is filled from its first id, in
order. REST caches lag behind the stream, so an id that a page lacks is requested again. It is lost only after
`GIVE_UP_ANSWERS` answers lacked it for `GIVE_UP_AFTER_S`. A failed request proves nothing: the gap stays open.
"""

from collections.abc import Container, Mapping, Sequence

import msgspec

from market_collector.book.continuity import IdRange
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Request, RestApi
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.gaps import KnownGap, joined
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Data, Record
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream

RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Delays before the next request for a gap, after an incomplete answer or an error."""
GIVE_UP_AFTER_S = 30.0
GIVE_UP_ANSWERS = 5


class HistoryRequest(msgspec.Struct, frozen=True):
    """Request for ids ``first`` to ``last`` of a gap."""

    gap_id: str
    stream: Stream
    first: int
    last: int
    request: Request


class Attempt(msgspec.Struct):
    """Requests made for one gap."""

    next_at: float = 0.0
    failures: int = 0
    """Errors and incomplete answers in a row."""
    lacking: int | None = None
    """The first id that answers lack."""
    lacking_since: float = 0.0
    lacking_answers: int = 0
    """Answers that lacked it."""

    def retry_later(self, now: float) -> None:
        """Delay the next request."""
        self.next_at = now + RETRY_S[min(self.failures, len(RETRY_S) - 1)]
        self.failures += 1

    def lacks(self, number: int, now: float) -> bool:
        """Count an answer that lacks an id; returns whether to give that id up."""
        if self.lacking != number:
            self.lacking, self.lacking_since, self.lacking_answers, self.failures = number, now, 0, 0
        self.lacking_answers += 1
        return self.lacking_answers >= GIVE_UP_ANSWERS and now - self.lacking_since >= GIVE_UP_AFTER_S


class Backfiller:
    """Backfills of all streams of one process."""

    def __init__(self, rest_api: RestApi, ledger: Ledger) -> None:
        self._rest_api = rest_api
        self._ledger = ledger
        self._attempts: dict[str, Attempt] = {}

    def next_request(self, now: Moment, full_sinks: Container[str] = ()) -> HistoryRequest | None:
        """Return the request for the newest gap that is due. Gaps of a full sink wait until it has room."""
        gaps = [known for known in self._ledger.gaps.all_open() if known.stream.data_type is not DataType.ORDERBOOK]
        self._attempts = {known.gap.gap_id: self._attempts.get(known.gap.gap_id, Attempt()) for known in gaps}
        for known in reversed(gaps):
            is_due = now.at >= self._attempts[known.gap.gap_id].next_at and known.sink not in full_sinks
            if is_due and (missing := self._ledger.ids.still_missing(known)):
                return self._request(known, missing)
        return None

    def _request(self, known: KnownGap, missing: Sequence[IdRange]) -> HistoryRequest:
        first = missing[0].first
        last = min(missing[-1].last, first + self._rest_api.history_page - 1)
        newest = self._ledger.ids.streams[known.stream].ids.last_id or last
        rest_request = self._rest_api.history(known.stream, last, newest)
        return HistoryRequest(known.gap.gap_id, known.stream, first, last, rest_request)

    def failed(self, request: HistoryRequest, reason: str, now: Moment) -> list[Emit | Warn]:
        """The request failed: keep the gap open and retry later."""
        attempt = self._attempts.get(request.gap_id)
        if attempt is None:
            return []
        attempt.retry_later(now.at)
        return [Warn(f"{request.stream}: {request.first} to {request.last} cannot be backfilled yet: {reason}")]

    def answered(self, request: HistoryRequest, body: bytes, now: Moment) -> list[Emit | Warn]:
        """REST answered: emit the missing records in order, and give up ids that are lost."""
        known, attempt = self._ledger.gaps.known.get(request.gap_id), self._attempts.get(request.gap_id)
        if known is None or attempt is None or known.state is not GapState.OPEN:
            return []  # merged with a neighbour or filled by late rows meanwhile
        try:
            records = self._rest_api.read_history(request.stream, body, now.wall_ns)
        except FrameError as error:
            return self.failed(request, str(error), now)
        progress = self._ledger.ids.streams[request.stream]
        return self._take(known, attempt, request, {progress.id_of(record): record for record in records}, now)

    def _take(
        self, known: KnownGap, attempt: Attempt, request: HistoryRequest, found: Mapping[int, Data], now: Moment
    ) -> list[Emit | Warn]:
        wanted = [number for each in self._window(known, request) for number in range(each.first, each.last + 1)]
        lacking = [number for number in wanted if number not in found]
        effects: list[Emit | Warn] = []
        if lacking and not attempt.lacks(lacking[0], now.at):
            attempt.retry_later(now.at)
            wanted, lacking = wanted[: wanted.index(lacking[0])], []
        elif not lacking:
            attempt.failures = 0
        records: list[Record] = self._ledger.ids.backfill(known, [found[n] for n in wanted if n in found], now)
        if lacking:
            records += self._give_up(known, lacking, found, now)
            ids = f"{len(lacking)} of {request.first} to {request.last}"
            effects.append(Warn(f"{request.stream}: {ids} are not in the exchange's history"))
        return [*effects, Emit(records, known.sink)] if records else effects

    def _window(self, known: KnownGap, request: HistoryRequest) -> list[IdRange]:
        """Return the requested part of the ranges still missing."""
        return [
            IdRange(max(each.first, request.first), min(each.last, request.last), each.since)
            for each in self._ledger.ids.still_missing(known)
            if each.first <= request.last and each.last >= request.first
        ]

    def _give_up(self, known: KnownGap, lacking: Sequence[int], found: Mapping[int, Data], now: Moment) -> list[Record]:
        """Lose the ids, except candles that history skips between others: nothing was traded in them."""
        ranges = joined(IdRange(number, number, now.at) for number in lacking)
        if known.stream.data_type is DataType.CANDLE and found:
            return list(self._ledger.ids.mark_nonexistent(known, ranges, now))
        return list(self._ledger.ids.lose(known, ranges, now))
