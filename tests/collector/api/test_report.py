"""Status and health in words and numbers, from a document and callbacks."""

import time

import pytest

from market_collector.api import report
from market_collector.api.callbacks import Subscription, Subscriptions
from market_collector.api.report import State
from market_collector.model.events import Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState, DataType, GapState
from market_collector.telemetry.status import ConnectionStatus, Counters, GapStatus, Health, Status


def connections(*states: ConnectionState) -> list[ConnectionStatus]:
    return [ConnectionStatus(name="x", state=each, since="", pings_sent=2, pongs_received=1) for each in states]


def document(health: Health = Health.HEALTHY, reason: str = "") -> Status:
    gaps = [GapStatus(id=str(n), stream="s", state=state, detected_at="") for n, state in enumerate(GapState)]
    return Status(
        name="okx",
        namespace="",
        shard=0,
        version="",
        epoch="",
        started_at="",
        time="",
        health=health,
        reason=reason,
        counters=Counters(reconnections=3, gaps_detected=9, gaps_repaired=4, gaps_lost=2, missing_trades=17),
        connections=tuple(connections(ConnectionState.CONNECTED, ConnectionState.BACKOFF)),
        gaps=tuple(gaps),
    )


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["connected", "connected"], "connected"),
        (["connected", "draining"], "draining"),
        (["draining", "connecting"], "connecting"),
        (["connecting", "backoff", "connected"], "backoff"),
        (["backoff", "stopped"], "stopped"),
        ([], "stopped"),
    ],
)
def test_the_worst_of_several_connections_is_reported(states: list[str], word: str) -> None:
    assert report.websocket_state(connections(*map(ConnectionState, states))) == word


def test_every_state_of_a_connection_has_its_rank() -> None:
    assert set(report.WORST_FIRST) == set(ConnectionState)


def test_numbers_are_summed() -> None:
    assert report.stats(document()) == {"reconnections": 3, "pings_sent": 4, "pongs_received": 2}
    assert report.gaps(document()) == {"detected": 9, "repaired": 4, "lost": 2, "open": 1, "missing_trades": 17}


def test_nothing_is_connected_at_rest() -> None:
    resting = report.at_rest(document())
    assert {each.state for each in resting.connections} == {ConnectionState.STOPPED}
    assert resting.counters == document().counters


def subscriptions(*, error: str = "") -> Subscriptions:
    made = Subscriptions()
    made.add_data(DataType.TRADE, print)
    for each in made:
        each.calls, each.failures, each.last_error = 5, 2, error
    return made


@pytest.mark.parametrize(
    ("state", "health", "error", "callback_error", "word", "issues"),
    [
        (State.RUNNING, Health.HEALTHY, "", "", Health.HEALTHY, []),
        (State.RUNNING, Health.DEGRADED, "", "", Health.DEGRADED, ["why"]),
        (State.RUNNING, Health.HEALTHY, "", "E: x", Health.DEGRADED, ["callback print fails (2 of 5 calls): E: x"]),
        (State.RUNNING, Health.UNHEALTHY, "", "E: x", Health.UNHEALTHY, ["why", "callback print fails (2 of 5 calls): E: x"]),
        (State.FAILED, Health.UNHEALTHY, "refused", "E: x", Health.UNHEALTHY, ["failed: refused"]),
        (State.STOPPED, Health.UNHEALTHY, "", "", Health.UNHEALTHY, ["stopped"]),
        (State.STOPPED, Health.UNHEALTHY, "gone", "", Health.UNHEALTHY, ["stopped: gone"]),
        (State.STOPPED, Health.UNHEALTHY, "", "E: x", Health.UNHEALTHY, ["stopped", "callback print fails (2 of 5 calls): E: x"]),
        (State.RUNNING, Health.UNHEALTHY, "paused", "", Health.UNHEALTHY, ["paused", "why"]),
    ],
)  # fmt: skip
def test_health_is_one_word_with_its_reasons(
    state: State, health: Health, error: str, callback_error: str, word: Health, issues: list[str]
) -> None:
    shown = document(health, "" if health is Health.HEALTHY else "why")
    said = report.issues(shown, state, error, subscriptions(error=callback_error))
    assert said == issues
    assert report.health(shown, said) is word


def test_a_callback_that_holds_up_the_loop_is_named_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    made, now = subscriptions(), time.monotonic()
    (each,) = made
    each.add_block(0.31)
    each.add_block(0.12)
    shown = document()
    (said,) = report.issues(shown, State.RUNNING, "", made)
    assert said.startswith("callback print holds up the event loop: 2 times in 5 calls for more than 0.05 s, 0.31 s at")
    assert report.health(shown, [said]) is Health.DEGRADED
    row = report.callback(each)
    assert (row["blocks"], row["longest_block_seconds"]) == (2, 0.31)
    monkeypatch.setattr(report, "read_clock", lambda: Moment(now + report.RECENT_S + 60, time.time_ns()))
    assert report.issues(shown, State.RUNNING, "", made) == []


def test_a_callback_that_is_slower_than_the_data_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = subscriptions()
    (each,) = made
    each.waiting.extend(
        Trade("okx", "BTC-USDT", 1, second * 10**9, "1", "1", 1, "buy", "1", "1") for second in (10, 14)
    )
    monkeypatch.setattr(report, "read_clock", lambda: Moment(0, 15 * 10**9))
    (said,) = report.issues(document(), State.RUNNING, "", made)
    assert said == "callback print is slower than the data: 2 records wait, the oldest for 5 s"
    monkeypatch.setattr(report, "read_clock", lambda: Moment(0, 11 * 10**9))
    assert report.issues(document(), State.RUNNING, "", made) == []


def test_a_call_under_way_shows_how_long_it_takes() -> None:
    subscription = Subscription(None, print, print, running_since=time.monotonic() - 5)
    row = report.callback(subscription)
    assert (row["callback"], row["data_type"]) == ("print", "event")
    assert row["running_seconds"] == pytest.approx(5, abs=1)
