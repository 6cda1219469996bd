"""Every recorded OKX frame passes through the core, and books agree with an independent rebuild."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import pytest

import recordings
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.names import canonical_name, native_name
from market_collector.feed.effects import Effect, Emit, Reconnect, Replace, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Candle, Data, Gap, Level, Orderbook, Record, Refused, Ticker, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

START = Moment(1_000.0, 1_790_000_000_000_000_000)
TYPES = {"trades": DataType.TRADE, "books": DataType.ORDERBOOK, "tickers": DataType.TICKER, "candle1m": DataType.CANDLE}
SIDES = ("bids", "asks")


def streams(frames: list[recordings.Frame], url_end: str) -> list[Stream]:
    """Every stream of ours that the recording has data of, on one connection."""
    args = {
        (message["arg"]["channel"], message["arg"]["instId"]): None
        for frame in frames
        if frame.url.endswith(url_end) and frame.text.startswith("{")
        for message in [json.loads(frame.text)]
        if "data" in message and "channel" in message.get("arg", {}) and "instId" in message["arg"]
    }
    return [
        Stream(str(canonical_name(instrument)), TYPES[channel], "1m" if TYPES[channel] is DataType.CANDLE else "")
        for channel, instrument in args
        if channel in TYPES
    ]


def replay(frames: list[recordings.Frame], url_end: str = "/public") -> tuple[Ledger, list[Record], list[Effect]]:
    """Everything that a feed makes of the frames of one connection, 10 ms apart."""
    wanted = streams(frames, url_end)
    ledger = Ledger("okx", wanted, 60.0, START)
    feed = Feed(url_end.strip("/"), Okx(), wanted, ledger, ping_interval_s=20.0)
    effects = list(feed.opened(START))
    for number, frame in enumerate(frames):
        if frame.url.endswith(url_end):
            effects += feed.received(frame.bytes, Moment(START.at + number / 100, START.wall_ns + number * 10_000_000))
    records = [record for effect in effects if isinstance(effect, Emit) for record in effect.records]
    return ledger, records, [effect for effect in effects if not isinstance(effect, Emit)]


def rebuilt(frames: list[recordings.Frame], symbol: str) -> dict[str, dict[Decimal, str]]:
    """The book at the end, made in the plainest way and with other types than the collector's."""
    book: dict[str, dict[Decimal, str]] = {side: {} for side in SIDES}
    for frame in frames:
        message = json.loads(frame.text) if frame.text.startswith("{") else {}
        if message.get("arg") != {"channel": "books", "instId": symbol} or "data" not in message:
            continue
        for row in message["data"]:
            if message["action"] == "snapshot":
                book = {side: {} for side in SIDES}
            for side in SIDES:
                for price, amount, *_ in row[side]:
                    if Decimal(amount) == 0:
                        book[side].pop(Decimal(price), None)
                    else:
                        book[side][Decimal(price)] = amount
    return book


def from_records(records: list[Record], symbol: str) -> dict[str, dict[Decimal, str]]:
    """The book that a reader of our records ends with."""
    book: dict[str, dict[Decimal, str]] = {side: {} for side in SIDES}
    for record in records:
        if not isinstance(record, Orderbook) or record.symbol != symbol:
            continue
        if record.action == "snapshot":
            book = {side: {} for side in SIDES}
        for side, levels in (("bids", record.bids), ("asks", record.asks)):
            for level in levels:
                if level.amount == "0":
                    book[side].pop(Decimal(level.price), None)
                else:
                    book[side][Decimal(level.price)] = level.amount
    return book


@pytest.mark.parametrize(
    ("path", "symbol"),
    [
        (recordings.OKX_2022, "BTC-USDT"),
        (recordings.OKX_2022, "BTC-USD-220527-BTC"),
        (recordings.OKX_2026, "BTC-USDT-PERP"),
        (recordings.OKX_SEQUENCES, "BTC-USDT"),
    ],
)
def test_books_agree_with_an_independent_rebuild(path: Path, symbol: str) -> None:
    frames = recordings.received(path)
    _, records, _ = replay(frames)
    book = from_records(records, symbol)
    assert book["bids"]
    assert book == rebuilt(frames, native_name(symbol))


def test_every_checksum_of_the_2022_recording_is_verified() -> None:
    """An independent computation over our own records counts 197 messages, none with a wrong checksum."""
    _, records, others = replay(recordings.received(recordings.OKX_2022))
    checked = 0
    books: dict[str, dict[str, dict[str, str]]] = {}
    for record in records:
        if not isinstance(record, Orderbook):
            continue
        book = books.setdefault(record.symbol, {side: {} for side in SIDES})
        if record.action == "snapshot":
            book.update({side: {} for side in SIDES})
        _apply(book["bids"], record.bids)
        _apply(book["asks"], record.asks)
        assert record.checksum == _checksum(book)
        checked += 1
    assert checked == 197
    assert others[1:] == []  # after the subscribe request: no warning, no reconnect


def _apply(side: dict[str, str], levels: list[Level]) -> None:
    for level in levels:
        side[level.price] = level.amount
        if level.amount == "0":
            del side[level.price]


def _checksum(book: dict[str, dict[str, str]]) -> int:
    bids = sorted(book["bids"], key=Decimal, reverse=True)[:25]
    asks = sorted(book["asks"], key=Decimal)[:25]
    parts = [part for b, a in zip(bids, asks, strict=True) for part in (b, book["bids"][b], a, book["asks"][a])]
    value = crc32(":".join(parts).encode())
    return value - 2**32 if value >= 2**31 else value


def test_a_corrupted_checksum_is_a_gap_and_not_a_record() -> None:
    frames = recordings.received(recordings.OKX_2022)
    at = next(n for n, frame in enumerate(frames) if '"action":"update"' in frame.text and "BTC-USDT" in frame.text)
    message = json.loads(frames[at].text)
    message["data"][0]["checksum"] += 1
    frames[at] = recordings.Frame(True, frames[at].url, json.dumps(message, separators=(",", ":")))
    ledger, records, _ = replay(frames)
    assert [record.reason for record in records if isinstance(record, Gap)] == ["ChecksumMismatch"]
    assert ledger.resyncs == 1
    assert len([r for r in records if isinstance(r, Orderbook) and r.symbol == "BTC-USDT"]) == _updates_before(
        frames, at
    )


def _updates_before(frames: list[recordings.Frame], at: int) -> int:
    return sum('"books","instId":"BTC-USDT"' in f.text and '"action"' in f.text for f in frames[:at])


def test_the_2026_recording_passes_whole() -> None:
    """14 updates follow their snapshot, trade ids have no gap (merged rows count), bbo-tbt is not ours."""
    frames = recordings.received(recordings.OKX_2026)
    ledger, records, others = replay(frames)
    assert {record.symbol for record in records if isinstance(record, Data)} == {"BTC-USDT-PERP"}
    kinds = Counter(type(record).__name__ for record in records)
    assert (kinds["Orderbook"], kinds["Trade"]) == (
        15,
        sum('"channel":"trades"' in f.text and "data" in f.text for f in frames),
    )
    assert ledger.gaps.detected == ledger.resyncs == ledger.duplicates == 0
    foreign = [effect for effect in others if isinstance(effect, Warn)]
    assert ledger.unreadable_frames == sum("bbo-tbt" in frame.text for frame in frames)
    assert len(foreign) == 1


def test_spot_snippets_give_typed_records() -> None:
    frames = recordings.received(recordings.OKX_SNIPPETS)
    _, records, _ = replay(frames)
    trades = [record for record in records if isinstance(record, Trade)]
    assert [(t.first_trade_id, t.trade_id, t.count) for t in trades] == [
        ("1040968612", "1040968613", 2),
        ("1040968614", "1040968614", 1),
    ]
    ticker = next(record for record in records if isinstance(record, Ticker))
    assert (ticker.bid, ticker.ask, ticker.volume_24h) == ("64028.6", "64028.7", "5874.19398956")
    assert ticker.exchange_time_ns == 1_786_538_789_464_000_000
    _, candles, _ = replay(frames, "/business")
    candle = next(record for record in candles if isinstance(record, Candle))
    assert (candle.interval, candle.open, candle.closed) == ("1m", "64040.2", False)


def test_a_sequence_reset_and_a_no_change_push_are_not_gaps() -> None:
    ledger, records, others = replay(recordings.received(recordings.OKX_SEQUENCES))
    assert [r.sequence for r in records if isinstance(r, Orderbook)] == [10, 15, 15, 20, 3, 5]
    assert ledger.gaps.detected == 0
    assert not [effect for effect in others if isinstance(effect, Reconnect | Warn)]


def test_control_frames_are_handled_by_the_protocol() -> None:
    """Counts pong, opens another connection after notice 64008, and reports an error without one of our streams."""
    frames = recordings.received(recordings.OKX_CONTROL)
    stream = Stream("BTC-USDT", DataType.TICKER)
    ledger = Ledger("okx", [stream], 60.0, START)
    feed = Feed("public", Okx(), [stream], ledger, ping_interval_s=20.0)
    feed.opened(START)
    effects = [effect for frame in frames for effect in feed.received(frame.bytes, START)]
    assert feed.pongs_received == 1
    assert [effect.reason[:22] for effect in effects if isinstance(effect, Replace)] == ["the exchange announced"]
    assert ledger.streams[stream].state is StreamState.PENDING
    assert not [r for effect in effects if isinstance(effect, Emit) for r in effect.records if isinstance(r, Refused)]
