"""The command line: its options and their validation."""

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from market_simulator import __version__
from market_simulator.dialects import DIALECTS
from market_simulator.engine.dialect import ServerOptions

FIXED_START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z: the default start of a seeded market


class BadArgumentsError(ValueError):
    """The command line is invalid. The message has the reason and the allowed values."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on; port 0 selects a free port."""

    host: str
    port: int

    def url(self, scheme: str, port: int) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `serve`. Either `replay` or `market` (the seed) is set.

    `speed` None means as fast as the clients read. `start` None means the default of the source.
    """

    exchange: str
    replay: tuple[Path, ...]
    speed: Fraction | None
    market: str | None
    symbols: tuple[str, ...]
    rate: Fraction
    has_checksums: bool
    start: str | None
    listen: Address
    control: Address
    tls_cert: Path | None
    tls_key: Path | None
    no_change_us: int
    keep_trades: int
    keep_books: int
    server: ServerOptions
    log_level: str


def parse(arguments: list[str]) -> Options:
    """Parse the command line.

    Raises:
        BadArgumentsError: An option is invalid.
        SystemExit: argparse has printed its own error (code 2) or the help (code 0).
    """
    given = _parser().parse_args(arguments)
    _check(given)
    return Options(
        exchange=given.exchange,
        replay=tuple(Path(name) for name in given.replay or ()),
        speed=None if given.speed == "max" else _positive("--speed", given.speed or "1"),
        market=given.market,
        symbols=tuple(name.strip() for name in (given.symbols or "").split(",") if name.strip()),
        rate=_positive("--rate", given.rate),
        has_checksums=given.checksum,
        start=given.start,
        listen=_address("--listen", given.listen),
        control=_address("--control", given.control),
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        no_change_us=int(_positive("--no-change-interval", given.no_change_interval) * 1_000_000),
        keep_trades=given.keep_trades,
        keep_books=given.keep_books,
        server=ServerOptions(
            silence_limit=float(_positive("--silence-limit", given.silence_limit)),
            unsent_limit=given.unsent_limit,
            life=float(_positive("--life", given.life)),
            connection_limit=given.connection_limit,
            has_rate_limits=not given.no_rate_limits,
        ),
        log_level=given.log_level.upper(),
    )


def start_us(start: str | None, default_us: int, now_us: int) -> int:
    """The market's start in microseconds since 1970: `now`, a time in ISO 8601, or the default.

    Raises:
        BadArgumentsError: `start` is neither.
    """
    if start is None:
        return default_us
    if start == "now":
        return now_us
    try:
        moment = datetime.fromisoformat(start)
    except ValueError as error:
        raise BadArgumentsError(
            f"--start {start!r} is neither `now` nor a moment like 2026-01-01T00:00:00Z (nor, for a replay, `recorded`)"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="market-simulator", description="Behaves like an exchange, on this machine.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    serve = parser.add_subparsers(required=True, metavar="serve").add_parser(
        "serve", help="run until SIGTERM or Ctrl-C"
    )
    serve.add_argument(
        "--exchange", choices=list(DIALECTS), default="okx", help="whose protocol to speak (default: okx)"
    )
    source = serve.add_mutually_exclusive_group(required=True)
    source.add_argument("--replay", nargs="+", metavar="FILE", help="recorded frames, replayed in a loop as one market")
    source.add_argument("--market", metavar="SEED", help="a seeded market: same seed, symbols and rate, same bytes")
    serve.add_argument("--speed", metavar="X|max", help="replay: X times the recorded speed (default 1)")
    serve.add_argument("--symbols", metavar="A,B", help="market: the symbols, such as BTC-USDT,ETH-USDT")
    serve.add_argument(
        "--rate", default="20", metavar="N", help="market: trades and books messages a second, per symbol"
    )
    serve.add_argument("--checksum", action="store_true", help="market: send the CRC that OKX sent until 2026-06-23")
    serve.add_argument(
        "--start", metavar="now|recorded|ISO", help="time of the first event (default: now; market: 2026)"
    )
    serve.add_argument("--listen", default="127.0.0.1:8443", metavar="HOST:PORT", help="WebSocket and REST")
    serve.add_argument("--control", default="127.0.0.1:8444", metavar="HOST:PORT", help="truth and faults")
    serve.add_argument("--tls-cert", type=Path, metavar="F", help="certificate chain (PEM): wss and https")
    serve.add_argument("--tls-key", type=Path, metavar="F", help="its key (PEM)")
    _behaviour(serve)
    return parser


def _behaviour(serve: argparse.ArgumentParser) -> None:
    group = serve.add_argument_group("behaviour of the exchange")
    group.add_argument("--silence-limit", default="30", metavar="SECONDS", help="without data or ping, then close 4004")
    group.add_argument("--no-change-interval", default="60", metavar="SECONDS", help="empty push of an unchanged book")
    group.add_argument(
        "--connection-limit",
        type=int,
        default=0,
        metavar="N",
        help="new connections; OKX: 3 a second; in 5 minutes: Binance 300, Bybit 500",
    )
    group.add_argument("--unsent-limit", type=int, default=16 << 20, metavar="BYTES", help="unread, then close 4005")
    group.add_argument("--life", default="86400", metavar="SECONDS", help="of a connection; OKX: no end")
    group.add_argument("--no-rate-limits", action="store_true", help="REST: answer without OKX's limits")
    group.add_argument(
        "--keep-trades", type=int, default=1_500_000, metavar="N", help="size of the truth: rows of trades"
    )
    group.add_argument(
        "--keep-books", type=int, default=300_000, metavar="N", help="size of the truth: changes of books"
    )
    group.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])


def _check(given: argparse.Namespace) -> None:
    if given.market is not None and not given.symbols:
        raise BadArgumentsError("--market needs --symbols, such as --symbols BTC-USDT,ETH-USDT")
    if given.replay and given.symbols:
        raise BadArgumentsError("--symbols belongs to --market; a replay plays the symbols of its recordings")
    if given.market is not None and given.speed:
        raise BadArgumentsError("--speed belongs to --replay; a market's pace is its --rate")
    if (given.tls_cert is None) != (given.tls_key is None):
        raise BadArgumentsError("--tls-cert and --tls-key belong together; give both or none")
    for name in ("keep_trades", "keep_books", "unsent_limit"):
        if getattr(given, name) < 1:
            raise BadArgumentsError(f"--{name.replace('_', '-')} must be 1 or more")


def _positive(name: str, text: str) -> Fraction:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise BadArgumentsError(f"{name} {text!r} is not a number") from error
    if value <= 0:
        raise BadArgumentsError(f"{name} {text!r} must be above 0")
    return value


def _address(name: str, text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise BadArgumentsError(f"{name} {text!r} is not HOST:PORT, such as 127.0.0.1:8443 (port 0 takes a free one)")
    return Address(host.strip("[]") or "0.0.0.0", int(port))
