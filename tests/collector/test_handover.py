"""Pods that follow each other, as processes with the simulator. `verify` over the output of all of them is the judge.

How long a pod that is asked to stop keeps its streams is measured on a simulated clock.
"""

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from collector_program import Program, document, program, verified
from collector_settings import settings_of
from exchange_words import ALL_WORDS, WORDS
from leaping_loop import clock, leap
from market_collector import app
from market_collector.app import Collector
from market_collector.model.streams import DataType
from market_collector.sinks import fanout
from simulator_process import MARKET, simulator

pytestmark = pytest.mark.simulator
TYPES = ["trade", "orderbook", "candle"]
WITH_CANDLES: dict[str, Any] = {"dataTypes": TYPES, "candle": {"intervals": ["1s"]}}
WITHOUT_CANDLES: dict[str, Any] = {"dataTypes": TYPES[:2]}
"""Where the shortest candle is too long for these tests."""


class Place:
    """The folder of a resource: a subfolder of each pod, and the document that the operator keeps."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        self.folder, self.spec, self.file = folder, spec, folder / "handover.json"
        self.write()

    def write(self, ended: Any = None, running: Any = None) -> None:
        self.file.write_text(json.dumps({"contract": 1, "ended": ended or {}, "running": running or {}}))

    def pod(self, uid: str, *more: str) -> Any:
        home = self.folder / "pods" / uid
        home.mkdir(parents=True)
        options = ("--state-dir", str(home / "state"), "--handover", str(self.file))
        return program(home, self.spec, *options, *more, POD_UID=uid)

    def verdict(self) -> Any:
        return verified(self.folder / "pods")


@pytest.fixture(params=ALL_WORDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with simulator(*MARKET, exchange=request.param) as exchange:
        yield Place(
            tmp_path, document(exchange, **WITH_CANDLES if exchange.words.interval == "1s" else WITHOUT_CANDLES)
        )


def streams(pod: Program) -> Any:
    """The positions that the operator reads. Every stream has one."""
    pod.comes(lambda: (found := pod.status()["positions"]) and all(found.values()))
    return pod.status()["positions"]


def gaps_of(pod: Program) -> list[Any]:
    return [record for record in pod.records() if record["type"] == "gap"]


def test_pod_that_is_asked_to_stop_delivers_until_its_successor_does(place: Place) -> None:
    with place.pod("old") as old:
        place.write(running={"old": {"address": old.address, "streams": streams(old)}})
        time.sleep(2)  # the document grows old
        with place.pod("new") as new:
            old.process.send_signal(signal.SIGTERM)
            assert old.process.wait(20) == 0
            new.comes(lambda: "predecessor old is gone" in new.log.read_text())
            new.comes(new.is_ready)
            time.sleep(2)  # longer than the wait for late trades
            assert new.status()["counters"]["gapsDetected"] == 0
    assert "asked to stop" in old.log.read_text()
    assert gaps_of(old) == gaps_of(new) == []
    assert place.verdict()["verdict"] == "complete"


@pytest.mark.parametrize("place", WORDS, indirect=True)
def test_successor_of_a_killed_pod_reports_and_fills_its_gaps(place: Place) -> None:
    with place.pod("old") as old:
        last = streams(old)
        old.process.kill()
    place.write(running={"old": {"address": old.address, "streams": last}})
    time.sleep(2)
    with place.pod("new") as new:
        new.comes(new.is_ready)
        new.comes(lambda: new.status()["counters"]["gapsRepaired"] >= 2)
    assert {record["stream"] for record in gaps_of(new)} >= {"BTC-USDT/trade", "BTC-USDT/orderbook"}
    (book,) = [record for record in gaps_of(new) if record["stream"] == "BTC-USDT/orderbook"]
    assert book["after_sequence"] == last["BTC-USDT/orderbook"]["line"]["head"]


@pytest.mark.parametrize("place", WORDS, indirect=True)
def test_successor_reads_where_a_pod_ended_when_the_document_changes(place: Place) -> None:
    """The document at its start may be older than the first data of the pod that it replaces."""
    with place.pod("old") as old:
        place.write(running={"old": {"address": old.address, "streams": dict.fromkeys(streams(old))}})
        last = streams(old)
        old.process.kill()
    time.sleep(2)
    with place.pod("new") as new:
        new.comes(new.is_ready)
        assert gaps_of(new) == []
        place.write(ended=last, running={"new": {"address": new.address, "streams": {}}})
        new.comes(lambda: new.status()["counters"]["gapsRepaired"] >= 2)
        new.comes(lambda: new.status()["counters"]["gapsDetected"] >= len(TYPES))
    assert {gap["stream"] for gap in gaps_of(new)} == last.keys()
    assert {gap["reason"] for gap in gaps_of(new)} == {"Restarted"}


@pytest.mark.parametrize("place", WORDS, indirect=True)
def test_pod_hides_its_positions_until_it_knows_who_came_before(place: Place) -> None:
    """The next pod would continue from there, so nobody would report what was missed before this one."""
    message = place.folder / "termination-log"
    message.touch()
    place.write(running={"old": {"address": "127.0.0.1:9", "streams": None}})
    with place.pod("new", "--termination-log", str(message)) as new:
        new.comes(lambda: {record["type"] for record in new.records()} >= {"trade", "orderbook"})
        new.comes(lambda: new.status()["counters"]["records"] > 50)
        assert set(new.status()["positions"].values()) == {None}
        new.stop()
    assert json.loads(message.read_bytes())["positions"] == dict.fromkeys(new_streams(new))
    with place.pod("later") as later:
        later.comes(lambda: later.status()["counters"]["records"] > 50)
        assert set(later.status()["positions"].values()) == {None}
        place.write(running={"later": {"address": later.address, "streams": {}}})
        assert all(streams(later).values())
    place.write(running={"old": {"address": "127.0.0.1:9", "streams": {}}})
    with place.pod("of new streams") as later:
        assert all(streams(later).values()), "no other pod may have delivered them"


def new_streams(pod: Program) -> set[str]:
    """The streams in the header that have positions."""
    names = next(record["streams"] for record in pod.records() if record["type"] == "header")
    return {name for name in names if not name.endswith("/ticker")}


@pytest.mark.parametrize("place", WORDS, indirect=True)
def test_termination_message_has_the_last_positions(place: Place) -> None:
    message = place.folder / "message"
    message.touch()
    home = place.folder / "pods" / "old"
    home.mkdir(parents=True)
    with program(home, place.spec, "--state-dir", str(home / "state"), "--termination-log", str(message)) as old:
        streams(old)
        old.stop()
    trades = [int(record["trade_id"]) for record in old.records() if record["type"] == "trade"]
    assert json.loads(message.read_text())["positions"]["BTC-USDT/trade"]["line"]["last"] == trades[-1]
    place.write(ended=json.loads(message.read_text())["positions"])
    with place.pod("new") as new:
        new.comes(lambda: new.status()["counters"]["gapsRepaired"] >= 1)
    assert place.verdict()["streams"]
    reported = [int(gap["first_id"]) for gap in gaps_of(new) if gap["stream"] == "BTC-USDT/trade"]
    assert reported == [trades[-1] + 1]


def test_pod_without_a_successor_delivers_for_a_while_and_ends(place: Place) -> None:
    with place.pod("old") as old:
        streams(old)
        old.process.send_signal(signal.SIGTERM)
        old.comes(lambda: "asked to stop: waiting 10 s at most" in old.log.read_text())
        asked = len(old.records())
        old.comes(lambda: len(old.records()) > asked + 20)
        assert old.process.wait(30) == 0  # then Kubernetes would kill it
    assert place.verdict()["verdict"] == "complete"


def test_pod_that_has_been_replaced_ends_at_once(place: Place) -> None:
    with place.pod("old") as old:
        streams(old)
        assert old.get("/status?successor=ready")[0] == 200
        assert old.stop() == 0
    assert "asked to stop" not in old.log.read_text()


class Stop:
    """A pod without an exchange on a simulated clock. The stop is requested at 0 s, or after a successor's question."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[float, bool], stop_at: float) -> None:
        """``asked`` are the times at which a successor asks, and whether it is ready then."""
        monkeypatch.setattr(app, "read_clock", clock)
        self._handover, self._asked, self._stop_at = folder / "handover.json", asked, stop_at

    async def seconds(self) -> float:
        """Time from the request to the end of the streams."""
        settings = settings_of("ws://127.0.0.1:9", DataType.TRADE, sinks=())
        collector, stop = Collector(settings, handover=self._handover), asyncio.Event()
        loop = asyncio.get_running_loop()
        for at, is_ready in self._asked.items():
            loop.call_at(at, collector.on_successor, is_ready)
        loop.call_at(self._stop_at, stop.set)
        await collector.run(stop)
        return loop.time() - self._stop_at


@pytest.mark.parametrize(
    ("asked", "stop_at", "seconds"),
    [
        ({}, 1.0, 10.0),
        ({4.0: True}, 1.0, 3.0),
        ({4.0: False}, 1.0, 10.0),
        ({4.0: False, 6.0: True}, 1.0, 5.0),
        ({1.0: True}, 1.5, 0.0),
        ({1.0: True}, 5.5, 0.0),
        ({1.0: True}, 7.0, 10.0),
        ({1.0: False}, 1.5, 10.0),
    ],
    ids=["none", "comes", "starts", "starts-and-comes", "replaced", "replaced-before", "answer-too-old", "not-ready"],
)
def test_streams_are_kept_until_a_successor_delivers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[float, bool], stop_at: float, seconds: float
) -> None:
    """And 10 s at most."""
    assert leap(Stop(tmp_path, monkeypatch, asked, stop_at).seconds()) == pytest.approx(seconds)


def test_handover_and_drain_fit_into_the_grace_period_of_a_pod() -> None:
    """Even if calls into a sink hang."""
    assert app.HANDOVER_S + app.DRAIN_S + fanout.ABANDON_S + fanout.CLOSE_S + app.LAST_ANSWER_S < 30.0


def test_process_without_the_operators_document_ends_at_once(place: Place) -> None:
    home = place.folder / "pods" / "terminal"
    home.mkdir(parents=True)
    with program(home, place.spec) as one:
        one.comes(one.is_ready)
        assert one.stop() == 0
    assert "asked to stop" not in one.log.read_text()
