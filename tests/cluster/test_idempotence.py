"""Idempotence: a second reconcile and an idle operator write nothing.

The proxy counts the writes, not the operator. Ten idle minutes are compressed: listings and probes run every second.
"""

from typing import Any

import pytest

from api_calls import Call, Document

pytestmark = pytest.mark.long

SYMBOLS = ["ADA-USDT", "BTC-USDT", "ETH-USDT"]
GOLDEN: dict[str, Document] = {
    "plain": {"symbol": "BTC-USDT"},
    "sharded": {"symbols": SYMBOLS, "shards": 3},
    "replicated": {"symbols": SYMBOLS, "replicas": 2},
    "suspended": {"symbols": SYMBOLS, "suspend": True},
    "templated": {
        "symbol": "BTC-USDT",
        "template": {"labels": {"team": "x"}, "resources": {"limits": {"cpu": "1000m"}}},
    },
}
COUNTS = {"messages", "lastMessageTime", "shardStatuses", "records"}


def make_all(ground: Any) -> None:
    for name, spec in GOLDEN.items():
        ground.place.create(name, healthCheckInterval="1s", **spec)

    def all_ready() -> None:
        found = {name: ground.place.condition("Ready", name) for name in GOLDEN}
        assert [name for name, (status, _, _) in found.items() if status != "True"] == [], found
        documents = [ground.place.status(name) for name in GOLDEN]
        assert not [each for each in documents if "Reconciling" in {c["type"] for c in each["conditions"]}]

    ground.eventually(all_ready)


def wait_for_listings(ground: Any, count: int) -> None:
    """Waits for `count` more complete listings."""

    def seen() -> int:
        found: int = ground.proxy.count(lambda call: call.is_list and call.kind == "marketcollectors")
        return found

    before = seen()

    def enough() -> None:
        assert seen() >= before + count

    ground.eventually(enough)


def wait_until_idle(ground: Any) -> None:
    """Waits until three listings caused no write."""

    def quiet() -> None:
        before = len(ground.proxy.writes)
        wait_for_listings(ground, 3)
        assert len(ground.proxy.writes) == before

    ground.eventually(quiet)


def test_second_reconcile_of_every_golden_state_writes_nothing(ground: Any) -> None:
    ground.start("--sweep-interval", "1s")
    make_all(ground)
    wait_until_idle(ground)
    ground.kill()
    calls, writes = len(ground.proxy.calls), len(ground.proxy.writes)
    ground.start("--sweep-interval", "1s")
    wait_for_listings(ground, 4)
    read = {
        call.name for call in ground.proxy.calls[calls:] if call.method == "GET" and call.kind == "marketcollectors"
    }
    assert read >= set(GOLDEN), "each was reconciled"
    assert [str(call) for call in ground.proxy.writes[writes:]] == []


def test_idle_operator_writes_only_counters(ground: Any) -> None:
    ground.start("--sweep-interval", "1s")
    make_all(ground)
    wait_until_idle(ground)
    writes = len(ground.proxy.writes)
    [counting] = [pod for pod in ground.kubelet.pods.values() if pod.name.startswith("plain-")]
    for number in range(1, 4):
        total = 100 + 10 * number
        counting.report = {**counting.report, "counters": {**counting.report["counters"], "messages": total}}

        def counted(total: int = total) -> None:
            assert ground.place.status("plain")["messages"] == total

        ground.eventually(counted)
        wait_for_listings(ground, 2)
    found = ground.proxy.writes[writes:]
    assert [str(call) for call in found if not _counts(call)] == []
    assert 3 <= len(found) <= 6, [str(call) for call in found]


def _counts(call: Call) -> bool:
    """Whether the call writes only counters, and of the resource whose counters grew."""
    return (call.kind, call.name) == ("marketcollectors/status", "plain") and set(call.document["status"]) <= COUNTS
