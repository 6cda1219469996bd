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
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from market_simulator.dialects import DIALECTS
from market_simulator.engine.dialect import Dialect
from market_simulator.engine.events import Key
from market_simulator.engine.instruments import Instrument
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.recording import Recording, RecordingError, read_recording, rest_replies_beside, steps
from market_simulator.engine.replay import recorded_books, recorded_keys, replay
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue
from market_simulator.options import FIXED_START_US, Address, BadArgumentsError, Options, parse, start_us
from market_simulator.serving import control, server
from market_simulator.serving.door import Door, Handlers
from market_simulator.serving.exchange import Exchange
from market_simulator.serving.server import listening, serve_until

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
    dialect = DIALECTS[options.exchange]
    return (_replay if options.market is None else _market)(options, dialect, now_us)


def _market(options: Options, dialect: Dialect, now_us: int) -> Exchange:
    checksum = dialect.checksum if options.has_checksums else None
    symbols = tuple(map(dialect.market_name, options.symbols))
    plan = MarketPlan(options.market or "", symbols, options.rate, checksum, fixed_kinds=dialect.fixed_kinds)
    origin_us = start_us(options.start, FIXED_START_US, now_us)
    events = with_beats(market(plan, origin_us), options.no_change_us)
    made = instruments(plan, dialect.make_instrument)
    return Exchange(dialect, Venue(made), _truth(options, made), events, origin_us, True, options.server)


def _replay(options: Options, dialect: Dialect, now_us: int) -> Exchange:
    files = _read(options.replay, dialect)
    recordings = [recording for recording in files if recording.frames]
    if not recordings:
        raise BadArgumentsError(
            f"no market data in {', '.join(map(str, options.replay))}; record trades, books or tickers"
        )
    described = [*files, *_read(rest_replies_beside(list(options.replay)), dialect)]
    listed = _listed(recordings, described, dialect)
    recorded_us = recordings[0].zero_ms * 1000
    origin_us = recorded_us if options.start == "recorded" else start_us(options.start, now_us, now_us)
    played = replay(recordings, origin_us, options.speed or _ORIGINAL, dialect.checksum)
    events = with_beats(played, options.no_change_us)
    recorded: frozenset[Key] = recorded_keys(recordings)
    venue = Venue(listed, recorded, _LATE_MS, recorded_books(recordings))
    is_paced = options.speed is not None
    return Exchange(dialect, venue, _truth(options, listed), events, origin_us, is_paced, options.server)


def _read(paths: Iterable[Path], dialect: Dialect) -> list[Recording]:
    return [read_recording(path, dialect.read_frame, dialect.title) for path in paths]


def _truth(options: Options, listed: list[Instrument]) -> Truth:
    return Truth([instrument.id for instrument in listed], options.keep_trades, options.keep_books)


def _listed(recordings: list[Recording], described: list[Recording], dialect: Dialect) -> list[Instrument]:
    """The replayed instruments, from a recorded REST reply or derived from their prices and sizes."""
    known = {instrument.id: instrument for recording in described for instrument in recording.instruments}
    names = sorted({name for recording in recordings for name in recording.names})
    return [known.get(name) or dialect.make_instrument(name, *steps(name, recordings)) for name in names]


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
