"""A feed survives any input. It reports every skipped change of a book and publishes no wrong book."""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recordings
from market_collector.book.book import Book
from market_collector.exchanges.okx.channels import BUSINESS, PUBLIC
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.effects import Effect, Emit, Fetch, Send
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.feed.subscription import RETRY_S
from market_collector.model.events import Gap, Lost, Orderbook, Record, Repaired
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream
from mutations import mutated
from record_lines import lines

SOURCES = (recordings.OKX_2022, recordings.OKX_2026, recordings.OKX_SNIPPETS, recordings.OKX_SEQUENCES)
FRAMES = [frame.bytes for path in SOURCES for frame in recordings.received(path) if len(frame.text) < 2_000]
ANSWERS = [frame.bytes for frame in recordings.frames(recordings.OKX_REST) if len(frame.text) < 10_000]
STREAMS = [
    Stream("BTC-USDT", kind, "1m" if kind is DataType.CANDLE else "")
    for kind in sorted(Okx.offers - {DataType.BALANCE, DataType.QUOTE})
]
ARG = {"channel": "books", "instId": "BTC-USDT"}
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)


def moment(seconds: float) -> Moment:
    return Moment(seconds, 1_790_000_000_000_000_000 + int(seconds * 1e9))


# -- anything at all


@pytest.mark.parametrize("route", [PUBLIC, BUSINESS])
@settings(max_examples=150)
@given(frames=st.lists(st.one_of(st.sampled_from(FRAMES), mutated(FRAMES)), max_size=30), answers=mutated(ANSWERS))
def test_feed_survives_any_input(route: str, frames: list[bytes], answers: bytes) -> None:
    ledger = Ledger("okx", STREAMS, 5.0, moment(0))
    feed = Feed(route, Okx(), STREAMS, ledger, ping_interval_s=20.0, store_raw=True)
    effects = feed.opened(moment(0))
    for number, frame in enumerate(frames):
        effects += feed.received(frame, moment(number))
        effects += feed.woken(moment(number + 0.5))
        for fetch in [effect for effect in effects if isinstance(effect, Fetch)]:
            effects += feed.answered(fetch, answers, moment(number + 0.7))
        written = [record for effect in effects if isinstance(effect, Emit) for record in effect.records]
        assert len(lines(written).splitlines()) == len(written)
        effects = []
    feed.closed("the end", moment(len(frames)))


# -- books


@dataclass
class Market:
    """Every state of one book, and the frame that leads to each; level n % 7 has the amount n."""

    states: list[dict[str, str]] = field(default_factory=lambda: [{"1": "1"}])

    def at(self, place: int) -> dict[str, str]:
        while len(self.states) <= place:
            number = len(self.states)
            price = str(number % 7 + 1)
            self.states.append({p: a for p, a in self.states[-1].items() if p != price} | self._level(number, price))
        return self.states[place]

    @staticmethod
    def _level(number: int, price: str) -> dict[str, str]:
        return {} if number % 3 == 0 else {price: str(number)}

    def snapshot(self, place: int) -> bytes:
        return push("snapshot", list(self.at(place).items()), sequence(place), -1)

    def update(self, place: int) -> bytes:
        price = str(place % 7 + 1)
        level = (price, self.at(place).get(price, "0"))
        return push("update", [level], sequence(place), sequence(place - 1))


def sequence(place: int) -> int:
    """Of OKX only the links count, so numbers may have gaps, and restart."""
    return place * 5 + 1_000 if place < 12 else place


def push(action: str, bids: list[tuple[str, str]], number: int, previous: int) -> bytes:
    row = {"asks": [], "bids": [[price, amount, "0", "1"] for price, amount in bids], "ts": "1790000000000"}
    numbers = {"checksum": 0, "seqId": number, "prevSeqId": previous}
    return json.dumps({"arg": ARG, "action": action, "data": [row | numbers]}, separators=(",", ":")).encode()


@dataclass
class ExchangeSide:
    """One connection: how far the exchange has got on it, and how many requests it still has to answer."""

    feed: Feed
    place: int
    requests: int = 0


class Play:
    """A market, one or two connections to it, and everything that was published of its book."""

    def __init__(self, lines: int) -> None:
        self.market = Market()
        self.ledger = Ledger("okx", [BOOK], 60.0, moment(0))
        self.now = 0.0
        self.published: Book | None = None
        self.is_excused = True
        """Whether a gap was reported since the last published state, so that only a snapshot may follow."""
        self.open_gaps: set[str] = set()
        self.lines = [self._line(0) for _ in range(lines)]

    def _line(self, place: int) -> ExchangeSide:
        feed = Feed(PUBLIC, Okx(), [BOOK], self.ledger, ping_interval_s=20.0)
        line = ExchangeSide(feed, place)
        self._take(line, feed.opened(moment(self.now)))
        return line

    def act(self, which: int, action: str) -> None:
        line = self.lines[which % len(self.lines)]
        self.now += 0.3
        self._take(line, line.feed.woken(moment(self.now)))
        match action:
            case "answer":
                self._answer(line)
            case "next":
                self._gets(line, self._next(line))
            case "lose":
                self._next(line)
            case "twice":
                frame = self._next(line)
                self._gets(line, frame)
                self._gets(line, frame)
            case "swap":
                first, second = self._next(line), self._next(line)
                self._gets(line, second)
                self._gets(line, first)
            case "cut":
                frame = self._next(line)
                self._gets(line, frame[: len(frame) // 2])
            case "bad number":
                self._gets(line, self._next(line).replace(b'"bids":[["', b'"bids":[["x'))
            case "flip":
                damaged = bytearray(self._next(line))
                damaged[len(damaged) * 2 // 3] ^= 0x80
                self._gets(line, bytes(damaged))
            case "again":  # a snapshot that nobody asked for
                self._gets(line, self.market.snapshot(line.place))
            case "break":
                self._take(line, line.feed.closed("broken", moment(self.now)))
                self.lines[self.lines.index(line)] = self._line(line.place)

    def _next(self, line: ExchangeSide) -> bytes:
        line.place += 1
        return self.market.update(line.place)

    def _answer(self, line: ExchangeSide) -> None:
        while line.requests:
            line.requests -= 1
            self._gets(line, json.dumps({"event": "subscribe", "arg": ARG}).encode())
            self._gets(line, self.market.snapshot(line.place))

    def _gets(self, line: ExchangeSide, frame: bytes) -> None:
        self._take(line, line.feed.received(frame, moment(self.now)))

    def _take(self, line: ExchangeSide, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Emit):
                for record in effect.records:
                    self._check(record)
            elif isinstance(effect, Send) and '"op":"subscribe"' in effect.text:
                line.requests += 1

    def _check(self, record: Record) -> None:
        match record:
            case Gap():
                assert record.gap_id not in self.open_gaps
                self.open_gaps.add(record.gap_id)
                self.is_excused = True
            case Repaired() | Lost():
                self.open_gaps.remove(record.gap_id)
            case Orderbook(action="snapshot"):
                assert not self.open_gaps, "a snapshot ends the gap"
                self.published, self.is_excused = Book(record), False
                self._compare()
            case Orderbook():
                assert self.published is not None
                assert not self.is_excused, "after a gap only a snapshot makes the book right"
                assert record.previous_sequence == self.published.sequence, "skipped without a gap record"
                self.published.apply(record)
                self._compare()

    def _compare(self) -> None:
        assert self.published is not None
        place = next(n for n in range(len(self.market.states)) if sequence(n) == self.published.sequence)
        assert self.published.bids == self.market.at(place)

    def come_to_rest(self) -> None:
        """All connections get all that there is, undisturbed, for longer than any delay of a resubscription."""
        end = max(line.place for line in self.lines) + 5
        start = self.now
        while self.now < start + max(RETRY_S) + 15:
            for which, line in enumerate(self.lines):
                self.act(which, "next" if line.place < end else "none")
                self._answer(line)
        assert self.published is not None
        assert self.published.sequence == sequence(end)
        assert not self.open_gaps


ACTIONS = ["answer", "next", "next", "next", "lose", "twice", "swap", "cut", "bad number", "flip", "again", "break"]
SCRIPTS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(ACTIONS)), max_size=60)


@pytest.mark.parametrize("connections", [1, 2])
@settings(max_examples=200)
@given(script=SCRIPTS)
def test_no_book_update_is_skipped_without_a_gap(connections: int, script: list[tuple[int, str]]) -> None:
    play = Play(connections)
    for which, action in script:
        play.act(which, action)
    play.come_to_rest()
