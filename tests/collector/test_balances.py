"""Balances end to end: a collector process logs in to the simulator's account.

It recovers from all changes of its key, and never writes any part of the key.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from collector_program import Program, document, program, stored, verified
from exchange_words import ALL_WORDS
from simulator_process import MARKET, Simulator, simulator

pytestmark = pytest.mark.simulator
ACCOUNT = "account/balance"


@pytest.fixture(params=ALL_WORDS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """One for each test, since tests change its account."""
    with simulator(*MARKET, exchange=request.param) as running:
        yield running


class Keys:
    """The directory that a Secret would be mounted to."""

    def __init__(self, folder: Path, key: Mapping[str, str]) -> None:
        self.key = key
        self.folder = folder / "keys"
        self.folder.mkdir()

    def write(self, **texts: str) -> None:
        for name, text in {**self.key, **texts}.items():
            (self.folder / name).write_text(text + "\n")

    @property
    def options(self) -> tuple[str, ...]:
        return "--credentials-dir", str(self.folder)


@pytest.fixture
def keys(exchange: Simulator, tmp_path: Path) -> Keys:
    return Keys(tmp_path, exchange.words.key)


def config(exchange: Simulator, **spec: Any) -> dict[str, Any]:
    settings = {"dataTypes": ["balance", "ticker"], "credentials": {"secretName": "the-key"}}
    return document(exchange, **settings | spec)


def account(collector: Program) -> Any:
    return next(stream for stream in collector.status()["streams"] if stream["stream"] == ACCOUNT)


def is_live(collector: Program) -> bool:
    return bool(account(collector)["state"] == "live")


def balances(collector: Program) -> dict[str, tuple[str, str, str]]:
    """Last reported balances by asset."""
    records = [record for record in collector.records() if record["type"] == "balance"]
    return {record["asset"]: (record["total"], record["available"], record["locked"]) for record in records}


def truth(exchange: Simulator) -> dict[str, tuple[str, str, str]]:
    return {asset: exchange.words.holding(row) for asset, row in exchange.get("/truth/account").items()}


def test_balances_and_all_their_changes_are_recorded(exchange: Simulator, keys: Keys, tmp_path: Path) -> None:
    keys.write()
    with program(tmp_path, config(exchange), *keys.options) as collector:
        collector.comes(collector.is_ready)
        collector.comes(lambda: balances(collector) == truth(exchange))
        exchange.post("/account/holding", {"asset": "BTC", "total": "0.70", "frozen": "0.1"})
        exchange.post("/account/holding", {"asset": "SOL", "total": "3"})
        collector.comes(lambda: balances(collector) == truth(exchange))
        assert [float(amount) for amount in balances(collector)["BTC"]] == [0.7, 0.6, 0.1]
        count = len([record for record in collector.records() if record["type"] == "balance"])
        assert count == 5, "three at first, then two changes"
        assert collector.stop() == 0


def test_changes_while_disconnected_are_recorded_with_the_next_snapshot(
    exchange: Simulator, keys: Keys, tmp_path: Path
) -> None:
    keys.write()
    with program(tmp_path, config(exchange), *keys.options) as collector:
        collector.comes(lambda: balances(collector) == truth(exchange))
        exchange.post("/faults/refuse", {"path": exchange.words.account_path, "seconds": 1})
        exchange.post("/faults/drop", {"path": exchange.words.account_path, "code": 1001})
        exchange.post("/account/holding", {"asset": "ETH", "total": "0"})
        exchange.post("/account/holding", {"asset": "BTC", "total": "9"})
        collector.comes(lambda: float(balances(collector)["BTC"][0]) == 9)
        collector.comes(lambda: balances(collector)["ETH"] == ("0", "0", "0"))


def test_missing_key_is_named_and_used_when_it_arrives(exchange: Simulator, keys: Keys, tmp_path: Path) -> None:
    with program(tmp_path, config(exchange), *keys.options) as collector:
        collector.comes(lambda: account(collector)["state"] == "refused")
        assert account(collector)["reason"] == "CredentialsMissing"
        assert f"Secret the-key: no {', '.join(keys.key)}" in account(collector)["message"]
        collector.comes(collector.is_ready)
        keys.write()
        collector.comes(lambda: is_live(collector))
        collector.comes(lambda: balances(collector) == truth(exchange))


WRONG_KEYS = [(name, *wrong) for name, words in ALL_WORDS.items() for wrong in words.wrong_keys]


@pytest.mark.parametrize(("exchange", "wrong", "code"), WRONG_KEYS, indirect=["exchange"])
def test_refused_key_is_not_tried_again_until_it_changes(
    exchange: Simulator, keys: Keys, tmp_path: Path, wrong: dict[str, str], code: str
) -> None:
    keys.write(**wrong)
    with program(tmp_path, config(exchange), *keys.options) as collector:
        collector.comes(lambda: account(collector)["state"] == "refused")
        assert account(collector)["reason"] == "CredentialsRefused"
        assert code in account(collector)["message"]
        collector.comes(collector.is_ready)
        opened = exchange.get("/state")["counters"]["connections"]
        assert opened <= 3
        keys.write()
        collector.comes(lambda: is_live(collector))
        assert exchange.get("/state")["counters"]["connections"] <= opened + 2


def test_key_is_refused_until_the_secret_changes_as_at_the_exchange(
    exchange: Simulator, keys: Keys, tmp_path: Path
) -> None:
    keys.write()
    with program(tmp_path, config(exchange), *keys.options) as collector:
        collector.comes(lambda: is_live(collector))
        exchange.post("/account/key", {"secretKey": "another"})
        collector.comes(lambda: account(collector)["reason"] == "CredentialsRefused")
        keys.write(secretKey="another")
        collector.comes(lambda: is_live(collector))


def test_login_is_signed_with_the_exchanges_time(exchange: Simulator, keys: Keys, tmp_path: Path) -> None:
    keys.write()
    exchange.post("/faults/skew", {"milliseconds": 3_600_000, "seconds": 120})
    with program(tmp_path, config(exchange), *keys.options) as collector:
        collector.comes(lambda: is_live(collector))


def test_login_is_tried_again_with_a_new_time_when_its_time_is_refused(
    exchange: Simulator, keys: Keys, tmp_path: Path
) -> None:
    keys.write()
    exchange.post("/faults/login-error", {"code": exchange.words.clock_error, "count": 2})
    with program(tmp_path, config(exchange), *keys.options) as collector:
        collector.comes(lambda: is_live(collector))
        assert "CredentialsRefused" not in json.dumps(collector.records())


def test_output_contains_no_part_of_the_key(exchange: Simulator, keys: Keys, tmp_path: Path) -> None:
    """Checks logs of all levels, raw frames, both sinks, status, metrics and the termination message.

    The collector logs in, is refused, and gets an error in which the exchange repeats the request.
    """
    data, words = tmp_path / "data", tmp_path / "termination-log"
    words.touch()
    sinks = [{"name": "out", "type": "stdout"}, {"name": "f", "type": "file", "file": {"directory": str(data)}}]
    settings = config(exchange, storeRawData=True, logLevel="debug", sinks=sinks)
    echo = f"Invalid request: {json.dumps(keys.key)}"
    exchange.post("/faults/login-error", {"code": exchange.words.echo_error, "message": echo, "count": 1})
    keys.write()
    options = (*keys.options, "--termination-log", str(words), "--state-dir", str(tmp_path / "state"))
    with program(tmp_path, settings, *options) as collector:
        collector.comes(lambda: is_live(collector))
        exchange.post("/account/key", {list(keys.key)[-1]: "another"})
        collector.comes(lambda: account(collector)["state"] == "refused")
        answers = [collector.get(path)[1] for path in ("/status", "/metrics", "/readyz", "/livez")]
        assert collector.stop() == 0
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.parent != keys.folder]
    written = {str(file): file.read_bytes() for file in files} | {f"answer {n}": body for n, body in enumerate(answers)}
    assert words.stat().st_size > 100
    assert len(written) >= 7
    raw = [record for record in stored(data) if record["type"] == "raw"]
    assert {record["connection"] for record in raw} == exchange.words.connections, "raw frames of both were kept"
    for secret in keys.key.values():
        assert [name for name, content in written.items() if secret.encode() in content] == []


def test_verify_takes_balances(exchange: Simulator, keys: Keys, tmp_path: Path) -> None:
    data = tmp_path / "data"
    keys.write()
    sinks = [{"name": "f", "type": "file", "file": {"directory": str(data)}}]
    with program(tmp_path, config(exchange, sinks=sinks), *keys.options) as collector:
        collector.comes(collector.is_ready)
        assert collector.stop() == 0
    found = verified(data)
    assert ACCOUNT in json.dumps(found)
    assert not found.get("troubles")
