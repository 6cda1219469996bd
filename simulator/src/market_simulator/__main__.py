"""Command `market-simulator serve`, which connects source, exchange and sockets.

Exit codes: 0 stopped by a signal, 1 failed, 2 invalid input.
"""

import asyncio
import json
import logging
import signal
import ssl
import sys
import time
from fractions import Fraction

from market_simulator import control, server
from market_simulator.door import Door, Handlers
from market_simulator.events import Key
from market_simulator.exchange import Exchange
from market_simulator.instruments import Instrument, made_instrument
from market_simulator.market import MarketPlan, instruments, market
from market_simulator.options import FIXED_START_US, Address, BadArgumentsError, Options, parse, start_us
from market_simulator.quantities import decimal_text, decimals_of
from market_simulator.recording import Recording, RecordingError, read_recording, rest_replies_beside
from market_simulator.replay import recorded_keys, replay
from market_simulator.server import listening, serve_until
from market_simulator.timeline import with_beats
from market_simulator.truth import Truth
from market_simulator.venue import Venue

log = logging.getLogger("market_simulator")

_ORIGINAL = Fraction(1)
_LATE_MS = 1000  # candles wait for a recorded trade, which arrives some tenths of a second after its time


def main() -> None:
    """The console script."""
    try:
        options = parse(sys.argv[1:])
        logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        exchange = build(options, time.time_ns() // 1000)
        tls = _tls(options)
    except (BadArgumentsError, RecordingError) as error:
        print(f"market-simulator: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(_serve(options, exchange, tls))
    except OSError as error:
        print(f"market-simulator: cannot listen: {error}", file=sys.stderr)
        sys.exit(1)


def build(options: Options, now_us: int) -> Exchange:
    """Build the exchange that the options describe, without starting it.

    Raises:
        BadArgumentsError: The options do not describe an exchange.
        RecordingError: A recording cannot be read.
    """
    return _market(options, now_us) if options.market is not None else _replay(options, now_us)


def _market(options: Options, now_us: int) -> Exchange:
    plan = MarketPlan(options.market or "", options.symbols, options.rate, options.has_checksums)
    origin_us = start_us(options.start, FIXED_START_US, now_us)
    events = with_beats(market(plan, origin_us), options.no_change_us)
    made = instruments(plan)
    return Exchange(Venue(made), _truth(options, made), events, origin_us, True, options.server)


def _replay(options: Options, now_us: int) -> Exchange:
    files = [read_recording(path) for path in options.replay]
    recordings = [recording for recording in files if recording.frames]
    if not recordings:
        raise BadArgumentsError(
            f"no market data in {', '.join(map(str, options.replay))}; record trades, books or tickers"
        )
    described = [*files, *(read_recording(path) for path in rest_replies_beside(list(options.replay)))]
    listed = _listed(recordings, described)
    recorded_us = recordings[0].zero_ms * 1000
    origin_us = recorded_us if options.start == "recorded" else start_us(options.start, now_us, now_us)
    events = with_beats(replay(recordings, origin_us, options.speed or _ORIGINAL), options.no_change_us)
    recorded: frozenset[Key] = recorded_keys(recordings)
    venue = Venue(listed, recorded, _LATE_MS)
    return Exchange(venue, _truth(options, listed), events, origin_us, options.speed is not None, options.server)


def _truth(options: Options, listed: list[Instrument]) -> Truth:
    return Truth([instrument.id for instrument in listed], options.keep_trades, options.keep_books)


def _listed(recordings: list[Recording], described: list[Recording]) -> list[Instrument]:
    """The replayed instruments, from a recorded REST reply or derived from their prices and sizes."""
    known = {instrument.id: instrument for recording in described for instrument in recording.instruments}
    names = sorted({name for recording in recordings for name in recording.names})
    return [known.get(name) or _guessed(name, recordings) for name in names]


def _guessed(name: str, recordings: list[Recording]) -> Instrument:
    rows = [row for recording in recordings for f in recording.frames if f.instrument == name for row in f.rows]
    prices = [row[column] for row in rows for column in ("px", "last") if row.get(column)]
    sizes = [row[column] for row in rows for column in ("sz", "lastSz") if row.get(column)]
    prices += [level[0] for row in rows for side in ("bids", "asks") for level in row.get(side, ())]
    tick, lot = (decimal_text(1, max(map(decimals_of, values), default=0)) for values in (prices, sizes))
    return made_instrument(name, tick, lot)


def _tls(options: Options) -> ssl.SSLContext | None:
    if options.tls_cert is None or options.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise BadArgumentsError(f"certificate {options.tls_cert} with key {options.tls_key}: {error}") from error
    return context


async def _serve(options: Options, exchange: Exchange, tls: ssl.SSLContext | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    exchange.started = asyncio.get_running_loop().time()
    main_app, control_app = server.application(exchange), control.application(exchange)

    def door(handlers: Handlers) -> Handlers:
        return lambda: Door(exchange, handlers, tls)

    async with (
        listening(main_app, options.listen.host, options.listen.port, door) as port,
        listening(control_app, options.control.host, options.control.port) as control_port,
    ):
        print(json.dumps(_addresses(options.listen, port, options.control, control_port, tls is not None)), flush=True)
        await serve_until(exchange, stop)


def _addresses(listen: Address, port: int, control_at: Address, control_port: int, has_tls: bool) -> dict[str, str]:
    s = "s" if has_tls else ""
    return {
        "listen": listen.url(f"ws{s}", port),
        "rest": listen.url(f"http{s}", port),
        "control": control_at.url("http", control_port),
    }


if __name__ == "__main__":
    main()
