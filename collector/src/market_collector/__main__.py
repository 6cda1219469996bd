"""The command ``market-collector``. Exit codes: 0 done or stopped as asked, 1 failed, 2 bad input.

`verify` has its own: 0 complete, 1 gaps, 2 unreadable.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from market_collector import __version__
from market_collector.errors import CollectorError, InputError

VERIFY = """\
Reads what the file sink wrote (.jsonl, .jsonl.gz, .jsonl.zst; several pods, rotated, still growing) and checks:

  trades     every id from the lowest to the highest is there once, or a gap record names it; "repaired" gaps are
             filled, and "lost" gaps lack exactly what they name
  books      each update follows the one before (sequence), or a gap record and a snapshot lie between them;
             checksums match where the exchange sends them; bids are below asks
  candles    every closed candle from the first to the last is there, or a gap record names it

Files of several replicas complete one another. Prints a table, every gap that is left, and a timeline.

Exit code: 0 complete; 1 gaps, or records that contradict each other; 2 a file could not be read (the message names file
and line, and the rest is still checked)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
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
        prog="market-collector", description="Collects market data and detects, fills or reports every gap."
    )
    top.add_argument("--version", action="version", version=f"{top.prog} {__version__}")
    # prog: otherwise argparse formats a usage line to make it, and imports shutil with bz2 and lzma for its width
    commands = top.add_subparsers(required=True, metavar="COMMAND", prog=top.prog)
    _add_run(commands)
    _add_validate(commands)
    _add_verify(commands)
    _add_exchanges(commands)
    return top


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser("run", help="collect until stopped")
    run.add_argument("path", nargs="?", metavar="FILE", help="a MarketCollector resource; - reads standard input")
    run.add_argument("-f", "--file", help="the same as FILE")
    run.add_argument("--endpoint-websocket", metavar="URL", help="base address instead of the exchange's own")
    run.add_argument("--endpoint-rest", metavar="URL", help="base address instead of the exchange's own")
    run.add_argument(
        "--credentials-dir",
        metavar="DIR",
        type=Path,
        help="folder with the files apiKey, secretKey and passphrase (default /etc/market-collector-credentials)",
    )
    run.add_argument(
        "--http",
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        help="address of status and metrics (default %(default)s)",
    )
    run.add_argument("--state-dir", metavar="DIR", type=Path, help="folder for the position of every stream")
    run.add_argument(
        "--termination-log",
        metavar="FILE",
        type=Path,
        default=Path("/dev/termination-log"),
        help="file for the last counters, if it exists (default %(default)s)",
    )
    run.add_argument("--log-format", choices=("text", "json"), default="text")
    run.set_defaults(command=_run, parser=run)


def _add_validate(commands: _Commands) -> None:
    validate = commands.add_parser("validate", help="report every error in resource files")
    validate.add_argument("paths", nargs="*", metavar="FILE", help="files to check; - reads standard input")
    validate.add_argument("-f", "--file", nargs="+", default=[], help="the same as FILE")
    validate.set_defaults(command=_validate, parser=validate)


def _add_verify(commands: _Commands) -> None:
    verify = commands.add_parser(
        "verify",
        help="check whether recorded files are complete",
        description=VERIFY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verify.add_argument("files", nargs="+", metavar="FILE", help="a recorded file, or a folder with such files")
    verify.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default %(default)s)")
    verify.set_defaults(command=_verify)


def _add_exchanges(commands: _Commands) -> None:
    exchanges = commands.add_parser("exchanges", help="list the exchanges and what they offer")
    exchanges.add_argument("-o", "--output", choices=("table", "json"), default="table")
    exchanges.set_defaults(command=_exchanges)


def _run(options: argparse.Namespace) -> int:
    from market_collector import app
    from market_collector.config.settings import load, read_settings
    from market_collector.telemetry import logs

    (file,) = _given_files(options, [options.path, options.file], "one FILE")
    documents = load(file)
    if len(documents) != 1:
        raise InputError(f"{file}: holds {len(documents)} resources. `run` collects one: put it into a file of its own")
    settings = read_settings(
        documents[0],
        endpoint_websocket=options.endpoint_websocket,
        endpoint_rest=options.endpoint_rest,
        credentials_directory=options.credentials_dir,
    )
    logs.set_up(settings.log_level, options.log_format)
    host, port = _address(options.http)
    state_dir, termination_log = options.state_dir, options.termination_log
    return asyncio.run(app.run(settings, host=host, port=port, state_dir=state_dir, termination_log=termination_log))


def _given_files(options: argparse.Namespace, files: Sequence[str | None], expected: str) -> list[str]:
    """The files of both forms, FILE and -f FILE; exits with a usage error unless the number is right."""
    given = [file for file in files if file is not None]
    if not given or (expected == "one FILE" and len(given) > 1):
        options.parser.error(f"expected {expected}, got {len(given)}")
    return given


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InputError(f"--http: {text!r} is not HOST:PORT. Write it like 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _validate(options: argparse.Namespace) -> int:
    from market_collector.config.command import validate

    return validate(_given_files(options, [*options.paths, *options.file], "at least one FILE"))


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
