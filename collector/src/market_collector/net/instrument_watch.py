"""Reads the exchange's description of the collected instruments, at the start and then regularly."""

import asyncio
import logging
from collections.abc import Callable, Sequence, Set
from itertools import groupby

from market_collector.containment import Containment
from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import ProblemKind, Request, RestApi
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Instrument, Record
from market_collector.model.moment import Moment
from market_collector.model.streams import ACCOUNT, Stream
from market_collector.net.rest import Rest
from market_spec.names import parsed

log = logging.getLogger(__name__)

INTERVAL_S = 300.0
"""Interval of requests. Each is one answer for all symbols of a kind, of 0.6 MB at OKX."""
RETRY_S = 30.0
"""Delay of the next request after one that failed."""


class InstrumentWatch:
    """Emits an `Instrument` record for each collected symbol, and for each change; cancel `run` to end it."""

    def __init__(
        self,
        rest_api: RestApi,
        ledger: Ledger,
        rest: Rest,
        emit: Callable[[Sequence[Record]], None],
        clock: Callable[[], Moment],
    ) -> None:
        self._rest_api = rest_api
        self._ledger = ledger
        self._rest = rest
        self._emit = emit
        self._clock = clock
        self._containment = Containment(ledger.complaints, clock)

    async def run(self) -> None:
        """Read the instruments until cancelled."""
        streams = {stream.symbol: stream for stream in self._ledger.streams if stream.symbol != ACCOUNT}
        async with asyncio.TaskGroup() as tasks:
            for _, group in groupby(sorted(streams, key=_kind), _kind):
                tasks.create_task(self._watch([streams[symbol] for symbol in group]), name="instruments of one kind")

    async def _watch(self, streams: Sequence[Stream]) -> None:
        """Read the instruments of one kind, each represented by one of its streams."""
        (first, *others) = streams
        request = self._rest_api.instruments(_kind(first.symbol)) if others else self._rest_api.state(first)
        while True:
            is_read = False
            with self._containment.of("instruments"):
                is_read = await self._read(request, frozenset(each.symbol for each in streams))
            await asyncio.sleep(INTERVAL_S if is_read else RETRY_S)

    async def _read(self, request: Request, symbols: frozenset[str]) -> bool:
        try:
            gone, found, now = await self._read_answer(request, symbols)
        except (RequestFailedError, FrameError) as error:
            log.info("cannot read the exchange's instruments: %s", error)
            return False
        instruments = self._ledger.instruments
        if changed := [*instruments.update(found), *instruments.remove(gone, now)]:
            self._emit(changed)
        return True

    async def _read_answer(
        self, request: Request | None, symbols: frozenset[str]
    ) -> tuple[Set[str], Sequence[Instrument], Moment]:
        """Return the symbols that no page lists, the descriptions of the others, and the time of the last answer."""
        gone, found, page = symbols, list[Instrument](), request
        while page is not None and gone:
            try:
                body = await self._rest.fetch(page)
            except RequestFailedError as error:
                if error.problem is None or error.problem.kind is not ProblemKind.NO_SYMBOL:
                    raise
                break
            listed = gone - self._rest_api.unlisted(gone, body)
            found += self._rest_api.read_instruments(listed, body, self._clock().wall_ns) if listed else ()
            gone, page = gone - listed, self._rest_api.more_instruments(body)
        return gone, found, self._clock()


def _kind(symbol: str) -> str:
    return parsed(symbol).kind
