"""The quick start without a cluster: a simulated exchange and one collector as local processes, and a live table.

With a terminal, the table is shown until Ctrl-C. Without one, or with TRY=once, it is shown three times. Then the
collector stops, and `market-collector verify` reports whether the recording is complete.

Exit codes: 0 the recording is complete, 1 it is not, or the collector did not become healthy.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import yaml
from live import Look, documents, table

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
MARKET = ("--market", "7", "--symbols", "BTC-USDT", "--rate", "20", "--start", "now")
HEALTHY_WITHIN_S = 20.0
REFRESH_S = 1.0
FAULT_AFTER_S = 4.0
"""The simulated exchange then loses some trades and cuts their connection, so that a gap is filled."""


TAIL_BYTES = 256 * 1024


@dataclass(frozen=True)
class Run:
    """The running programs: the folder of this run, the collector's status, the exchange's control address."""

    folder: Path
    status_url: str
    control: str


class TryError(Exception):
    """The quick start cannot go on; the message says why."""


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="market-collector-try-"))
    is_live = sys.stdout.isatty() and os.environ.get("TRY") != "once"
    try:
        with simulator(folder) as exchange, collector(folder, exchange) as status_url:
            run = Run(folder, status_url, exchange["control"])
            wait_until_healthy(run)
            show_until_stopped(run) if is_live else show_three_times(run)
    except TryError as error:
        print(f"make try: {error}", file=sys.stderr)
        print_log(folder)
        return 1
    return report(folder)


def show_until_stopped(run: Run) -> None:
    """Refreshes the table in place until Ctrl-C."""
    started, is_disturbed, last = time.monotonic(), False, None
    try:
        while True:
            look = read_look(run)
            lines = [*table(look, last), "", "Ctrl-C stops and checks the recording."]
            sys.stdout.write("\033[H\033[2J" + "\n".join(lines) + "\n")
            sys.stdout.flush()
            if not is_disturbed and time.monotonic() - started > FAULT_AFTER_S:
                disturb(run.control)
                is_disturbed = True
            last = look
            time.sleep(REFRESH_S)
    except KeyboardInterrupt:
        print()


def show_three_times(run: Run) -> None:
    """Shows the table before and after the connections are cut, and when the gap in the trades is filled."""
    first = show(run, None)
    disturb(run.control)
    time.sleep(REFRESH_S)
    second = show(run, first)
    wait_until_filled(run)
    show(run, second)


def show(run: Run, before: Look | None) -> Look:
    look = read_look(run)
    say("\n".join([*table(look, before), ""]))
    return look


def say(text: str) -> None:
    """Prints the text. When the reader has left (`make try | head`), the output goes to /dev/null from then on.

    The run still goes on to the end, because its exit code depends on the recording.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def disturb(control: str) -> None:
    """Lets the exchange lose three trade messages and cut the connection of the trades.

    The connection of the order book stays: no exchange offers missed book updates again.
    """
    post(f"{control}/faults/lose", {"channel": "trades-all", "symbol": "BTC-USDT", "count": 3})
    time.sleep(0.5)
    post(f"{control}/faults/drop", {"path": "business"})


def wait_until_healthy(run: Run) -> None:
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while time.monotonic() < deadline:
        if (look := try_look(run)) and look.status["health"] == "Healthy":
            return
        time.sleep(0.1)
    raise TryError(f"the collector was not healthy within {HEALTHY_WITHIN_S:g} s")


def wait_until_filled(run: Run) -> None:
    """Returns when the gap was filled, or after a while. The report then names the missing records."""
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while time.monotonic() < deadline:
        status = read_look(run).status
        if status["counters"]["gapsRepaired"] and not any(gap["state"] == "open" for gap in status["gaps"]):
            return
        time.sleep(0.1)


def read_look(run: Run) -> Look:
    """The collector's status now.

    Raises:
        TryError: the collector does not answer.
    """
    if look := try_look(run):
        return look
    raise TryError("the collector does not answer any more")


def try_look(run: Run) -> Look | None:
    try:
        with urlopen(run.status_url, timeout=5) as answer:  # noqa: S310 - our own address
            return Look(json.load(answer), time.monotonic(), newest_records(run.folder / "records"))
    except (URLError, OSError):
        return None


def newest_records(folder: Path) -> tuple[dict[str, object], ...]:
    """The records at the end of the file that is being written."""
    files = sorted(folder.rglob("*.jsonl"), key=lambda file: file.stat().st_mtime)
    if not files:
        return ()
    with files[-1].open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return tuple(documents(file.read().decode(errors="replace")))


@contextmanager
def simulator(folder: Path) -> Iterator[dict[str, str]]:
    """A simulated exchange; yields its addresses."""
    command = [str(PROGRAMS / "market-simulator"), "serve", "--exchange", "okx", *MARKET]
    with (folder / "simulator.log").open("w") as log:
        process = start(
            [*command, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"], log.fileno(), subprocess.PIPE
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise TryError("the simulator did not start")
        addresses: dict[str, str] = json.loads(line)
        yield addresses
    finally:
        stop(process)


@contextmanager
def collector(folder: Path, exchange: dict[str, str]) -> Iterator[str]:
    """A collector of the resource in try.yaml; yields the address of its status."""
    resource = yaml.safe_load((HERE / "try.yaml").read_text())
    resource["spec"]["connection"]["endpoint"] = {"websocket": exchange["listen"], "rest": exchange["rest"]}
    resource["spec"]["sinks"][0]["file"]["directory"] = str(folder / "records")
    file = folder / "try.yaml"
    file.write_text(yaml.safe_dump(resource, sort_keys=False))
    address = f"127.0.0.1:{free_port()}"
    with (folder / "collector.log").open("w") as log:
        process = start([str(PROGRAMS / "market-collector"), "run", str(file), "--http", address], log.fileno(), None)
    try:
        yield f"http://{address}/status"
    finally:
        stop(process)


def start(command: list[str], log: int, output: int | None) -> "subprocess.Popen[str]":
    # A session of its own: Ctrl-C is for this program, which then ends the others in order.
    return subprocess.Popen(command, stdout=output or log, stderr=log, text=True, start_new_session=True)  # noqa: S603


def stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def report(folder: Path) -> int:
    """Prints the verify report and what to do next; returns the exit code."""
    records = folder / "records"
    say(f"$ market-collector verify {records}")
    command = [str(PROGRAMS / "market-collector"), "verify", str(records)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    say(done.stdout)
    say(f"The records are in {records}, the logs and the resource in {folder}.")
    say("Next: `make demo` runs this on a Kubernetes cluster; README.md shows the rest.")
    return done.returncode


def print_log(folder: Path) -> None:
    for name in ("collector.log", "simulator.log"):
        file = folder / name
        if file.exists() and (lines := file.read_text().splitlines()):
            print(f"--- {file}", *lines[-8:], sep="\n", file=sys.stderr)


def post(url: str, body: dict[str, object]) -> None:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - our own address
    urlopen(request, timeout=5).close()  # noqa: S310


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    # SIGINT too: a shell starts its background jobs with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
