"""False reports known from other operators and collectors, each with its upstream issue.

Where the collector could be wrong, a real one runs against the simulator. The operator reads its /status through a
play-pod.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import evidence
from collector_program import Program, document, program
from helm_release import Release
from kstatus import kstatus
from simulator_process import Simulator, simulator
from truth import Truth

Start = Callable[..., Any]
Eventually = Callable[..., None]
TYPES = ["trade", "orderbook"]
FAST = {"healthCheckInterval": "1s", "staleAfter": "5s"}


@pytest.fixture
def operator(start: Start) -> Any:
    return start()


@pytest.fixture
def pod(place: Any, kubelet: Any, operator: Any) -> Any:
    """The pod of a resource that is Ready."""
    place.create(**FAST)
    [found] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    return found


@pytest.fixture
def collect(place: Any, pod: Any, tmp_path: Path) -> Iterator[Callable[..., tuple[Program, Simulator]]]:
    """Starts a simulator and a real collector, whose /status the resource's pod serves."""
    with ExitStack() as stack:

        def start_collector(rate: str = "100", **spec: Any) -> tuple[Program, Simulator]:
            market = ("--market", "7", "--symbols", "BTC-USDT", "--rate", rate, "--start", "now")
            exchange = stack.enter_context(simulator(*market))
            settings = document(exchange, dataTypes=TYPES, **spec)
            running = stack.enter_context(program(tmp_path, settings, POD_UID=pod.uid))
            pod.source = running.status
            return running, exchange

        yield start_collector


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_resource_is_not_ready_while_pods_crash(place: Any, pod: Any, kubelet: Any) -> None:
    """opentelemetry-operator #3372. The resource is not Ready between two crashes either, while the container streams."""
    last = {"terminated": {"reason": "Error", "exitCode": 1, "startedAt": now(), "finishedAt": now()}}
    kubelet.say(pod, {"waiting": {"reason": "CrashLoopBackOff"}}, ready=False, last_state=last, restarts=2)
    place.expect("Ready", "False", "CrashLooping")
    kubelet.say(pod, {"running": {"startedAt": now()}}, ready=True, last_state=last, restarts=3)
    place.expect("Streaming", "True", "AllStreamsLive")
    place.expect("Ready", "False", "CrashLooping")
    assert kstatus(place.api.get("mcol", place.namespace, "okx-btc")) in ("InProgress", "Failed")


def test_resource_is_not_ready_while_a_sink_fails(place: Any, collect: Any, tmp_path: Path) -> None:
    """strimzi #6624. All streams deliver, but the file sink cannot write."""
    (tmp_path / "data").write_text("a file is where the directory should be")
    file = {"directory": str(tmp_path / "data"), "fsyncInterval": "100ms"}
    running, _ = collect(sinks=[{"name": "archive", "type": "file", "file": file}])
    assert "archive" in place.expect("SinksHealthy", "False", "SinkFailing")
    place.expect("Streaming", "True", "AllStreamsLive")
    place.expect("Ready", "False", "SinkFailing")
    assert running.process.poll() is None
    (tmp_path / "data").unlink()
    place.expect("Ready", "True", "Ready", seconds=60)


def test_a_delisted_symbol_is_not_found_until_it_is_listed_again(place: Any, collect: Any) -> None:
    """freqtrade #6104, #11235. The exchange's own code and words reach the condition."""
    _, exchange = collect(**FAST)
    place.expect("Ready", "True", "Ready")
    exchange.post("/faults/delist", {"symbol": "BTC-USDT", "seconds": 600})
    message = place.expect("Accepted", "False", "SymbolNotFound", seconds=60)
    assert re.search("OKX error (51001|60018)", message), "by REST or by a subscription, whichever is first"
    exchange.clear_faults()
    place.expect("Ready", "True", "Ready", seconds=60)


def test_stream_is_unknown_while_rest_is_blocked(place: Any, collect: Any) -> None:
    """ccxt #7071, #25107. The WebSocket works, REST does not, so a quiet market cannot be confirmed."""
    _, exchange = collect(**FAST)
    place.expect("Ready", "True", "Ready")
    exchange.post("/faults/rest", {"status": 451, "seconds": 600})
    exchange.post("/faults/silence", {"channel": "trades-all", "seconds": 600})
    assert "HTTP 451" in place.expect("Streaming", "Unknown", "StreamsUnknown", seconds=60)
    exchange.clear_faults()
    place.expect("Ready", "True", "Ready", seconds=60)


def test_resource_is_not_ready_while_a_stream_is_stale(place: Any, collect: Any) -> None:
    """cryptofeed #545, #893, ccxt #17081, hummingbot #8250. The socket is open and the book moves without trades."""
    running, exchange = collect()
    place.expect("Ready", "True", "Ready")
    exchange.post("/faults/silence", {"channel": "trades-all", "seconds": 120})
    message = place.expect("Ready", "False", "StreamsStale", seconds=60)
    assert "BTC-USDT/trade (since " in message
    assert "BTC-USDT/orderbook" not in message
    assert running.process.poll() is None
    assert place.status()["unhealthyStreams"][0]["stream"] == "BTC-USDT/trade"
    exchange.clear_faults()
    place.expect("Ready", "True", "Ready", seconds=60)


def test_resource_stays_ready_on_a_quiet_market(place: Any, collect: Any, eventually: Eventually) -> None:
    """cryptofeed #223. There is no trade for many times staleAfter, and the exchange confirms it."""
    running, _ = collect(rate="0.01", staleAfter="1s")

    def quiet() -> None:
        assert {each["state"] for each in running.status()["streams"]} >= {"quiet"}
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(quiet)
    before = place.status()["conditions"]
    idle = max(running.status()["streams"], key=lambda each: each["state"] == "quiet")
    assert idle["state"] == "quiet"
    running.comes(lambda: _age(running) > 5.0, within_s=30)
    assert [(each["type"], each["status"], each["lastTransitionTime"]) for each in place.status()["conditions"]] == [
        (each["type"], each["status"], each["lastTransitionTime"]) for each in before
    ]


def _age(running: Program) -> float:
    """Seconds since the newest message of any stream, by the collector's own clock."""
    status = running.status()
    times = [each["lastMessageTime"] for each in status["streams"] if each["lastMessageTime"]] or [status["startedAt"]]
    return (datetime.fromisoformat(status["time"]) - datetime.fromisoformat(max(times))).total_seconds()


def test_book_is_resynced_when_an_update_is_lost(place: Any, collect: Any, eventually: Eventually) -> None:
    """cryptofeed #1016, ccxt #23251. An update is lost, and every published book still existed at the exchange."""
    running, exchange = collect()
    place.expect("Ready", "True", "Ready")
    exchange.post("/faults/lose", {"channel": "books", "count": 1})

    def is_counted() -> None:
        status = place.status()
        assert status["resyncs"] >= 1
        assert status["gaps"]["detected"] >= 1
        assert status["gaps"]["lost"] + status["gaps"]["repaired"] == status["gaps"]["detected"]

    eventually(is_counted)
    place.expect("Complete", "True", "NoGapsOpen")
    running.comes_to_rest(30)
    assert running.stop() == 0
    evidence.check_books(running.records(), Truth(exchange))


def test_backpressure_is_reported_before_records_are_dropped(place: Any, collect: Any, tmp_path: Path) -> None:
    """cryptofeed #426. The reader of the records has stopped reading."""
    pipe = tmp_path / "records.jsonl"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb"):
        running, _ = collect()
        message = place.expect("SinksHealthy", "False", "SinkFailing", seconds=90)
        assert "records wait" in message
        assert place.condition("Ready")[:2] == ("False", "SinkFailing")
        assert running.status()["counters"]["droppedRecords"] == 0
        running.process.kill()  # a normal stop would wait for the reader


def test_deletion_needs_no_operator_and_no_finalizer(
    place: Any, pod: Any, operator: Any, eventually: Eventually
) -> None:
    """opentelemetry-operator #4367. No object has a finalizer, and all are deleted while no operator runs."""
    kinds = ("mcol", "deployments", "services", "configmaps", "handovers")
    for kind in kinds:
        assert all("finalizers" not in each["metadata"] for each in place.api.all(kind, place.namespace)), kind
    operator.process.kill()
    operator.process.wait()
    place.api.delete("mcol", place.namespace, "okx-btc", policy="Background")

    def gone() -> None:
        assert [kind for kind in kinds if place.names(kind)] == []

    eventually(gone)


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        ({"symbol": "ETH-USDT"}, "symbols"),
        ({"dataTypes": ["trade"]}, "dataTypes"),
        ({"staleAfter": "7s"}, "staleAfter"),
        ({"storeRawData": True}, "storeRawData"),
        ({"logLevel": "debug"}, "logLevel"),
        ({"connection": {"pingInterval": "9s"}}, "connection"),
    ],
)
def test_each_edit_reaches_a_new_pod(
    place: Any, pod: Any, kubelet: Any, eventually: Eventually, edit: dict[str, Any], where: str
) -> None:
    """dask-kubernetes #895. Until an edit reaches a new pod, kstatus is InProgress."""
    before = kubelet.mounted(pod.name)["spec"].get(where)
    generation = place.change(**edit)["metadata"]["generation"]

    def taken_up() -> None:
        assert place.status()["observedGeneration"] == generation
        assert len(kubelet.living()) == 2

    eventually(taken_up)
    assert kstatus(place.api.get("mcol", place.namespace, "okx-btc")) == "InProgress"
    [new] = kubelet.catch_up()
    assert kubelet.mounted(new.name)["spec"].get(where) != before
    place.expect("Ready", "True", "Ready")
    place.expect_current()


def test_helm_wait_fails_while_no_operator_runs(chart: Path, place: Any) -> None:
    code, output = Release("install", chart, place.namespace, seconds=8).ends()
    assert code != 0
    assert "MarketCollector" in output, output
    assert kstatus(place.api.get("mcol", place.namespace, "okx-btc")) == "InProgress"
