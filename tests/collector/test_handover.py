"""Pods that follow each other, as processes with the simulator. `verify` over the output of all of them is the judge."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from collector_program import Program, document, program, verified
from simulator_process import MARKET, simulator

pytestmark = pytest.mark.simulator
TYPES = ["trade", "orderbook", "candle"]


class Place:
    """The folder of a resource: a subfolder of each pod, and the document that the operator keeps."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        self.folder, self.spec, self.file = folder, spec, folder / "handover.json"
        self.write()

    def write(self, ended: Any = None, running: Any = None) -> None:
        self.file.write_text(json.dumps({"contract": 1, "ended": ended or {}, "running": running or {}}))

    def pod(self, uid: str) -> Any:
        home = self.folder / "pods" / uid
        home.mkdir(parents=True)
        options = ("--state-dir", str(home / "state"), "--handover", str(self.file))
        return program(home, self.spec, *options, POD_UID=uid)

    def verdict(self) -> Any:
        return verified(self.folder / "pods")


@pytest.fixture
def place(tmp_path: Path) -> Any:
    with simulator(*MARKET) as exchange:
        yield Place(tmp_path, document(exchange, dataTypes=TYPES, candle={"intervals": ["1s"]}))


def streams(pod: Program) -> Any:
    """The positions that the operator reads. Every stream has one."""
    pod.comes(lambda: len([each for each in pod.status()["positions"].values() if each]) == len(TYPES))
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
    assert book["from"] == str(last["BTC-USDT/orderbook"]["line"]["head"])


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
    reported = [int(gap["from"]) for gap in gaps_of(new) if gap["stream"] == "BTC-USDT/trade"]
    assert reported == [trades[-1] + 1]


def test_process_without_the_operators_document_ends_at_once(place: Place) -> None:
    home = place.folder / "pods" / "terminal"
    home.mkdir(parents=True)
    with program(home, place.spec) as one:
        one.comes(one.is_ready)
        assert one.stop() == 0
    assert "asked to stop" not in one.log.read_text()
