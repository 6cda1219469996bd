"""The command ``market-collector``. Exit codes: 0 done or stopped on request, 1 failed, 2 invalid input.

1 includes records that could not be written before the end. A command whose reader has gone ends with 141.

`verify` has its own: 0 complete, 1 gaps, 2 unreadable.
"""

import os
import signal
import sys

# The kernel drops SIGTERM to process 1, as in a pod, until it has a handler. Imports take up to a second. A pod that is
# deleted meanwhile would run until SIGKILL. `run` ends as if stopped on request; other commands were cut short.
if os.getpid() == 1:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(0 if sys.argv[1:2] == ["run"] else 128 + number))

import argparse
import asyncio
import gc
from collections.abc import Coroutine, Sequence
from pathlib import Path

from market_collector import __version__
from market_collector.errors import CollectorError, InputError
from market_spec.command import exit_code

VERIFY = """\
Reads what the file sink wrote (.jsonl, .jsonl.gz, .jsonl.zst; several pods, rotated, still growing) and checks:

  trades     every id from the lowest to the highest is there, or a gap record names it; gaps that say "repaired" are,
             gaps that are "lost" lack exactly what they say; each fill is there once
  books      each update follows the one before it (sequence), or a gap record and a snapshot stand between them;
             checksums where the exchange sends them; bids below asks
  candles    every closed candle from the first to the last is there, or a gap record names it; none is open again
  order      open candles and tickers never go back in time

Files of several replicas complete each other: what one lacks another may have. Prints a table, every open gap,
and a timeline.

Exit code: 0 complete; 1 gaps, or records that contradict each other; 2 something could not be read, or there is
nothing to check (the file and line are named, the rest is still checked)."""
REPLAY = """\
Prints what the file sink wrote as JSON lines, in the order of receipt: each record once, however many replicas have
it. A gap record precedes every record beyond the gap; gaps that another replica bridges are left out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    return exit_code(lambda: _run_command(arguments))


def _run_command(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except CollectorError as error:
        from market_spec.messages import escaped_lines

        print(escaped_lines(str(error)), file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="market-collector", description="Collects market data, and reports every gap.")
    top.add_argument("--version", action="version", version=f"{top.prog} {__version__}")
    # prog: otherwise argparse formats a usage line to make it, and imports shutil with bz2 and lzma for its width
    commands = top.add_subparsers(required=True, metavar="COMMAND", prog=top.prog)

    run = commands.add_parser("run", help="collect until SIGTERM or Ctrl-C")
    what = "a MarketCollector resource or collector document; - reads standard input"
    run.add_argument("path", nargs="?", metavar="FILE", help=what)
    run.add_argument("-f", "--file", metavar="FILE", help="the same")
    run.add_argument("--endpoint-websocket", metavar="URL", help="base address instead of the exchange's own")
    run.add_argument("--endpoint-rest", metavar="URL", help="base address instead of the exchange's own")
    run.add_argument(
        "--credentials-dir",
        metavar="DIR",
        type=Path,
        help="directory with the files apiKey, secretKey and passphrase (default /etc/market-collector-credentials)",
    )
    run.add_argument(
        "--http", default="127.0.0.1:8080", metavar="HOST:PORT", help="address of the HTTP server (default %(default)s)"
    )
    run.add_argument("--state-dir", metavar="DIR", type=Path, help="directory of the checkpoint, kept across restarts")
    run.add_argument(
        "--handover",
        metavar="FILE",
        type=Path,
        help="in a pod: the operator's document with the position of every stream",
    )
    run.add_argument(
        "--termination-log",
        metavar="FILE",
        type=Path,
        default=Path("/dev/termination-log"),
        help="file for the termination message (default %(default)s; only if it exists)",
    )
    run.add_argument("--log-format", choices=("text", "json"), default="text")
    run.set_defaults(command=_run)

    validate = commands.add_parser("validate", help="check resources, and report every error with its line")
    validate.add_argument("paths", nargs="*", metavar="FILE", help="files to check; - reads standard input")
    validate.add_argument("-f", "--file", nargs="+", default=[], metavar="FILE", help="the same")
    validate.set_defaults(command=_validate)

    verify = commands.add_parser(
        "verify",
        help="check whether recorded files are complete",
        description=VERIFY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verify.add_argument(
        "files", nargs="+", metavar="FILE", help="a recorded file, or a directory with all such files below it"
    )
    verify.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "intervals", "intervals-csv"),
        default="table",
        help="(default %(default)s)",
    )
    verify.add_argument(
        "--volumes",
        action="store_true",
        help="also compare trades without dense ids with the volumes of candles of one minute",
    )
    verify.set_defaults(command=_verify)

    replay = commands.add_parser("replay", help="print recorded files in the order of receipt", description=REPLAY)
    replay.add_argument(
        "files", nargs="+", metavar="FILE", help="a recorded file, or a directory with all such files below it"
    )
    time = "receive time, such as 2026-11-28T05:00:00Z"
    replay.add_argument("--from", dest="start", metavar="TIME", help=f"the earliest {time}")
    replay.add_argument("--to", dest="end", metavar="TIME", help=f"print records before this {time}")
    pace = "1 for the speed of the recording, 10 for ten times it (default: no delays)"
    replay.add_argument("--speed", type=float, metavar="X", help=pace)
    replay.add_argument("--symbol", action="append", metavar="SYMBOL", help="only this symbol; may be repeated")
    replay.add_argument("--type", action="append", metavar="TYPE", help="only this record type; may be repeated")
    replay.set_defaults(command=_replay)

    exchanges = commands.add_parser("exchanges", help="list the exchanges, or the instruments of one")
    exchanges.add_argument("name", nargs="?", metavar="NAME", help="an exchange, which is asked for its instruments")
    exchanges.add_argument("--endpoint-rest", metavar="URL", help="base address instead of the exchange's own")
    exchanges.add_argument("-o", "--output", choices=("table", "json"), default="table")
    exchanges.set_defaults(command=_exchanges)
    return top


def _run(options: argparse.Namespace) -> int:
    # Imported objects stay: collections while they are made take 4 ms of the start, and later ones need not scan them.
    gc.disable()
    try:
        coroutine = _collecting(options)
        gc.freeze()
    finally:
        gc.enable()
    return asyncio.run(coroutine)


def _collecting(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from market_collector import app
    from market_collector.config.settings import load, read_settings
    from market_collector.telemetry import logs

    path = _single_path(options)
    documents = load(path)
    if len(documents) != 1:
        raise InputError(f"{path}: has {len(documents)} resources. Give one: `run` collects one")
    settings = read_settings(
        documents[0],
        endpoint_websocket=options.endpoint_websocket,
        endpoint_rest=options.endpoint_rest,
        credentials_directory=options.credentials_dir,
    )
    logs.set_up(settings.log_level, options.log_format)
    host, port = _address(options.http)
    places = {"state_dir": options.state_dir, "termination_log": options.termination_log, "handover": options.handover}
    return app.run(settings, host=host, port=port, **places)


def _single_path(options: argparse.Namespace) -> str:
    given = [path for path in (options.path, options.file) if path is not None]
    if len(given) != 1:
        raise InputError(f"run: {len(given)} files are given. Give one: market-collector run FILE")
    return str(given[0])


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InputError(f"--http: {text!r} is not an address. Give HOST:PORT, such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _validate(options: argparse.Namespace) -> int:
    from market_collector.config.command import validate

    paths = [*options.paths, *options.file]
    if not paths:
        raise InputError("validate: no file is given. Give one or more: market-collector validate FILE")
    return validate(paths)


def _verify(options: argparse.Namespace) -> int:
    from market_collector.verify.command import verify

    return verify(options.files, options.output, audits_volumes=options.volumes)


def _replay(options: argparse.Namespace) -> int:
    from market_collector.reading.command import print_replay

    return print_replay(options.files, options.start, options.end, options.speed, options.symbol, options.type)


def _exchanges(options: argparse.Namespace) -> int:
    from market_collector.config.settings import base_address
    from market_collector.listing import print_exchanges

    return print_exchanges(options.name, options.output, base_address("rest", options.endpoint_rest, "http"))


if __name__ == "__main__":
    sys.exit(main())
