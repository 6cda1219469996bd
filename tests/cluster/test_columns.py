"""The columns of `kubectl get`."""

import subprocess
from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
NARROW = ["NAME", "EXCHANGE", "SYMBOLS", "READY", "REASON", "STREAMS", "RECONNECTS", "GAPS", "LAST MESSAGE", "AGE"]
WIDE = [*NARROW, "HEALTH", "PODS", "IMAGE"]


def table(namespace: str, *options: str) -> list[dict[str, str]]:
    """The printed rows by column. Each column starts where its title does."""
    command = ["kubectl", "get", "mcol", "-n", namespace, *options]
    head, *rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    titles = [title.strip() for title in head.split("   ") if title.strip()]
    starts = [head.index(title) for title in titles]
    ends = [*starts[1:], None]
    return [
        {title: row[start:end].strip() for title, start, end in zip(titles, starts, ends, strict=True)} for row in rows
    ]


def test_table_shows_a_ready_resource(place: Any, kubelet: Any, start: Start) -> None:
    start()
    place.create(symbols=["ADA-USDT", "BTC-USDT", "ETH-USDT", "XRP-USDT"])
    kubelet.run_all(1, counters={"messages": 5, "reconnections": 4, "gapsDetected": 2})
    place.expect("Ready", "True", "Ready")
    [row] = table(place.namespace)
    assert [*row] == NARROW
    assert {**row, "LAST MESSAGE": "", "AGE": ""} == {
        "NAME": "okx-btc",
        "EXCHANGE": "okx",
        "SYMBOLS": "ADA-USDT, BTC-USDT, ETH-USDT +1",
        "READY": "True",
        "REASON": "Ready",
        "STREAMS": "8/8",
        "RECONNECTS": "4",
        "GAPS": "2",
        "LAST MESSAGE": "",
        "AGE": "",
    }
    assert row["LAST MESSAGE"]
    assert row["AGE"]
    [wide] = table(place.namespace, "-o", "wide")
    assert [*wide] == WIDE
    assert (wide["HEALTH"], wide["PODS"]) == ("Healthy", "1/1")
    assert wide["IMAGE"] == place.status()["image"]


def test_table_shows_unknown_before_the_first_reconcile(place: Any) -> None:
    place.create()
    [row] = table(place.namespace)
    assert (row["READY"], row["REASON"], row["STREAMS"]) == ("Unknown", "Pending", "")
