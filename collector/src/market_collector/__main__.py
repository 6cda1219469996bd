"""The command ``market-collector``. Exit codes: 0 done or asked to stop, 1 failed, 2 bad input.

`verify` has its own: 0 complete, 1 holes, 2 unreadable.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from market_collector.errors import CollectorError, InputError

VERIFY = """\
Reads what the file sink wrote (.jsonl, .jsonl.gz, .jsonl.zst; several pods, rotated, still growing) and checks:

  trades     every id from the lowest to the highest is there, or a gap record names it; gaps that say "repaired" are,
             gaps that are "lost" lack exactly what they say; each fill is there once
  books      each update follows the one before it (sequence), or a gap record and a snapshot stand between them;
             checksums where the exchange sends them; bids below asks
  candles    every closed candle from the first to the last is there, or a gap record names it

Files of several replicas complete each other: what one lacks another may have. Prints a table, every hole that is left,
and a timeline.

Exit code: 0 complete; 1 holes, or records that contradict each other; 2 something could not be read (the file and line
are named, the rest is still checked)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command."""
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except CollectorError as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="market-collector", description="Collects market data; loses nothing in silence."
    )
    # prog: otherwise argparse formats a usage line to make it, and imports shutil with bz2 and lzma for its width
    commands = top.add_subparsers(required=True, metavar="COMMAND", prog=top.prog)

    run = commands.add_parser("run", help="collect until told to stop")
    run.add_argument(
        "-f", "--file", required=True, help="a MarketCollector resource or collector document; - reads stdin"
    )
    run.add_argument("--endpoint-websocket", metavar="URL", help="base address instead of the exchange's own")
    run.add_argument("--endpoint-rest", metavar="URL", help="base address instead of the exchange's own")
    run.add_argument(
        "--credentials-dir",
        metavar="DIR",
        type=Path,
        help="where apiKey, secretKey and passphrase are files (default /etc/market-collector-credentials)",
    )
    run.add_argument(
        "--http", default="127.0.0.1:8080", metavar="HOST:PORT", help="where to answer (default %(default)s)"
    )
    run.add_argument("--state-dir", metavar="DIR", type=Path, help="where to remember positions across restarts")
    run.add_argument(
        "--termination-log",
        metavar="FILE",
        type=Path,
        default=Path("/dev/termination-log"),
        help="where Kubernetes reads the last counters (default %(default)s; only if it exists)",
    )
    run.add_argument("--log-format", choices=("text", "json"), default="text")
    run.set_defaults(command=_run)

    validate = commands.add_parser("validate", help="say what is wrong with resources, and where")
    validate.add_argument("-f", "--file", required=True, nargs="+", help="files to check; - reads stdin")
    validate.set_defaults(command=_validate)

    verify = commands.add_parser(
        "verify",
        help="say whether recorded files are complete",
        description=VERIFY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verify.add_argument(
        "files", nargs="+", metavar="FILE", help="a recorded file, or a directory with all such files below it"
    )
    verify.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default %(default)s)")
    verify.set_defaults(command=_verify)

    exchanges = commands.add_parser("exchanges", help="list the exchanges and what they offer")
    exchanges.add_argument("-o", "--output", choices=("table", "json"), default="table")
    exchanges.set_defaults(command=_exchanges)
    return top


def _run(options: argparse.Namespace) -> int:
    from market_collector import app
    from market_collector.config.settings import load, read_settings
    from market_collector.telemetry import logs

    documents = load(options.file)
    if len(documents) != 1:
        raise InputError(f"{options.file}: holds {len(documents)} resources; `run` collects one, so give one")
    settings = read_settings(
        documents[0],
        endpoint_websocket=options.endpoint_websocket,
        endpoint_rest=options.endpoint_rest,
        credentials_directory=options.credentials_dir,
    )
    logs.set_up(settings.log_level, options.log_format)
    host, port = _address(options.http)
    state_dir, last_words = options.state_dir, options.termination_log
    return asyncio.run(app.run(settings, host=host, port=port, state_dir=state_dir, termination_log=last_words))


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InputError(f"--http: {text!r} is not HOST:PORT, for example 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _validate(options: argparse.Namespace) -> int:
    from market_collector.config.command import validate

    return validate(options.file)


def _verify(options: argparse.Namespace) -> int:
    from market_collector.verify.command import verify

    return verify(options.files, options.output)


def _exchanges(options: argparse.Namespace) -> int:
    import json

    from market_collector.exchanges import EXCHANGES

    rows = [
        {
            "exchange": name,
            "dataTypes": sorted(exchange.offers),
            "orderbookDepths": list(exchange.book_depths),
            "candleIntervals": list(exchange.candle_intervals),
            "websocket": exchange.websocket,
            "rest": exchange.rest,
        }
        for name, exchange in EXCHANGES.items()
    ]
    if options.output == "json":
        print(json.dumps(rows, indent=2))
        return 0
    print(f"{'EXCHANGE':10} {'DATA TYPES':38} {'DEPTHS':8} CANDLES")
    for row in rows:
        cells = [",".join(map(str, row[key])) for key in ("dataTypes", "orderbookDepths", "candleIntervals")]
        print(f"{row['exchange']:10} {cells[0]:38} {cells[1]:8} {cells[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
