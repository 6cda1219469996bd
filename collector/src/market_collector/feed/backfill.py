"""Fills holes in trades and candles from the exchange's own history, for all streams of the process.

Pure, like a `Feed`: `look` says what to ask next, `answered` and `failed` what came of it. One question at a time,
newest gap first; the shell paces them together with all other REST questions.

The rules. Numbers are dense, so a page that ends with number n (`Exchange.history`) holds n - 99 .. n, and a hole is
filled from its beginning, in order. A number that the page lacks is asked for again, as REST's caches lag behind the
stream and behind each other (docs/exchanges/okx.md section 7); only when it was lacking for `GIVE_UP_AFTER_S` and in
`GIVE_UP_LOOKS`
answers it is lost, with its exact id. An answer that is an error proves nothing: the gap stays open.
"""

from collections.abc import Container, Mapping, Sequence

import msgspec

from market_collector.book.continuity import Hole
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Request, RestApi
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.gaps import KnownGap, joined
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Data, Record
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream

RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Waits before asking again: for what a page lacked, or after an error."""
GIVE_UP_AFTER_S = 30.0
GIVE_UP_LOOKS = 5


class Look(msgspec.Struct, frozen=True):
    """One question: numbers first..last of a gap."""

    gap_id: str
    stream: Stream
    first: int
    last: int
    request: Request


class Attempt(msgspec.Struct):
    """What has been tried for one gap."""

    next_at: float = 0.0
    failures: int = 0
    """Errors and incomplete answers in a row."""
    lacking: int | None = None
    """The first number that answers lack."""
    lacking_since: float = 0.0
    looks: int = 0
    """Answers that lacked it."""

    def wait(self, now: float) -> None:
        self.next_at = now + RETRY_S[min(self.failures, len(RETRY_S) - 1)]
        self.failures += 1

    def lacks(self, number: int, now: float) -> bool:
        """Notes an answer that lacks a number; True when it is time to give that number up."""
        if self.lacking != number:
            self.lacking, self.lacking_since, self.looks, self.failures = number, now, 0, 0
        self.looks += 1
        return self.looks >= GIVE_UP_LOOKS and now - self.lacking_since >= GIVE_UP_AFTER_S


class Backfiller:
    """All repairs of one process."""

    def __init__(self, rest_api: RestApi, ledger: Ledger) -> None:
        self._rest_api = rest_api
        self._ledger = ledger
        self._attempts: dict[str, Attempt] = {}

    def look(self, now: Moment, full_sinks: Container[str] = ()) -> Look | None:
        """What to ask now: about the newest gap whose time has come. What only a full sink misses waits for it."""
        gaps = [known for known in self._ledger.gaps.all_open() if known.stream.data_type is not DataType.ORDERBOOK]
        self._attempts = {known.gap.gap_id: self._attempts.get(known.gap.gap_id, Attempt()) for known in gaps}
        for known in reversed(gaps):
            is_due = now.at >= self._attempts[known.gap.gap_id].next_at and known.sink not in full_sinks
            if is_due and (holes := self._ledger.still_missing(known)):
                return self._question(known, holes)
        return None

    def _question(self, known: KnownGap, holes: Sequence[Hole]) -> Look:
        first = holes[0].first
        last = min(holes[-1].last, first + self._rest_api.history_page - 1)
        newest = self._ledger.streams[known.stream].line.last_id or last
        request = self._rest_api.history(known.stream, last, newest)
        return Look(known.gap.gap_id, known.stream, first, last, request)

    def failed(self, look: Look, reason: str, now: Moment) -> list[Emit | Warn]:
        """REST did not answer, or with an error: the gap stays open and is asked for again."""
        attempt = self._attempts.get(look.gap_id)
        if attempt is None:
            return []
        attempt.wait(now.at)
        return [Warn(f"{look.stream}: {look.first} to {look.last} cannot be repaired yet: {reason}")]

    def answered(self, look: Look, body: bytes, now: Moment) -> list[Emit | Warn]:
        """REST answered: emit what was missing, in order, and say what never will come."""
        known, attempt = self._ledger.gaps.known.get(look.gap_id), self._attempts.get(look.gap_id)
        if known is None or attempt is None or known.state is not GapState.OPEN:
            return []  # merged with a neighbour, or filled by late rows meanwhile
        try:
            records = self._rest_api.read_history(look.stream, body, now.wall_ns)
        except FrameError as error:
            return self.failed(look, str(error), now)
        page = self._ledger.streams[look.stream]
        return self._take(known, attempt, look, {page.number(record): record for record in records}, now)

    def _take(
        self, known: KnownGap, attempt: Attempt, look: Look, found: Mapping[int, Data], now: Moment
    ) -> list[Emit | Warn]:
        wanted = [number for hole in self._window(known, look) for number in range(hole.first, hole.last + 1)]
        lacking = [number for number in wanted if number not in found]
        effects: list[Emit | Warn] = []
        if lacking and not attempt.lacks(lacking[0], now.at):
            attempt.wait(now.at)
            wanted, lacking = wanted[: wanted.index(lacking[0])], []
        elif not lacking:
            attempt.failures = 0
        records: list[Record] = self._ledger.backfill(known, [found[n] for n in wanted if n in found], now)
        if lacking:
            records += self._give_up(known, lacking, found, now)
            effects.append(
                Warn(f"{look.stream}: {len(lacking)} of {look.first} to {look.last} are not in the exchange's history")
            )
        return [*effects, Emit(records, known.sink)] if records else effects

    def _window(self, known: KnownGap, look: Look) -> list[Hole]:
        holes = self._ledger.still_missing(known)
        return [
            Hole(max(hole.first, look.first), min(hole.last, look.last), hole.since)
            for hole in holes
            if hole.first <= look.last and hole.last >= look.first
        ]

    def _give_up(self, known: KnownGap, lacking: Sequence[int], found: Mapping[int, Data], now: Moment) -> list[Record]:
        """History skips a candle only if nothing traded (docs/exchanges/okx.md section 5.3)."""
        if known.stream.data_type is DataType.CANDLE and found:
            return list(self._ledger.never_were(known, _holes(lacking, now), now))
        return list(self._ledger.lose(known, _holes(lacking, now), now))


def _holes(numbers: Sequence[int], now: Moment) -> list[Hole]:
    return joined(Hole(number, number, now.at) for number in numbers)
