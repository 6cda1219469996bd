"""Builders of the documents that the operator reads, so that a test states only the fields it needs."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.pods import Pod, read_pod
from market_operator.observed.reports import Report, read_report
from market_operator.resource.document import Resource, read_resource
from owned import made_by_replicaset

Make = Callable[..., Any]


@pytest.fixture
def resource() -> Callable[..., Resource]:
    """A stored resource; keyword arguments are fields of its spec."""

    def make(name: str = "okx-btc", status: dict[str, Any] | None = None, generation: int = 1, **spec: Any) -> Resource:
        fields: dict[str, Any] = {"exchange": "okx", "dataTypes": ["trade", "orderbook", "ticker"], **spec}
        if "symbol" not in spec and "symbols" not in spec:
            fields["symbol"] = "BTC-USDT"
        meta = {"name": name, "namespace": "md", "uid": "uid-1", "generation": generation, "resourceVersion": "7"}
        return read_resource({"metadata": meta, "spec": fields, "status": status or {}})

    return make


@pytest.fixture
def pod_document() -> Make:
    """A pod as the API server returns it, by default running and ready."""

    def make(
        uid: str = "pod-1",
        shard: int = 0,
        template: str = "",
        version: int = 1,
        state: dict[str, Any] | None = None,
        last_state: dict[str, Any] | None = None,
        ready: bool = True,
        restarts: int = 0,
        name: str = "",
        **meta: Any,
    ) -> dict[str, Any]:
        state = {"running": {"startedAt": "2026-11-22T10:00:00Z"}} if state is None else state
        conditions = [{"type": "Ready", "status": str(ready)}, *meta.pop("conditions", [])]
        collector = {
            "marketcollector.dev/collector": "okx-btc",
            "marketcollector.dev/shard": str(shard),
            "pod-template-hash": "6d4c",
        }
        return {
            "metadata": {
                "name": name or f"okx-btc-{shard}-{uid}",
                "namespace": "md",
                "uid": uid,
                "resourceVersion": str(version),
                "labels": collector,
                **made_by_replicaset(f"okx-btc-{shard}-6d4c"),
                "annotations": {
                    "marketcollector.dev/resource": "okx-btc",
                    "marketcollector.dev/template": template,
                },
                **meta,
            },
            "spec": {"volumes": [{"name": "config", "configMap": {"name": "okx-btc-0-abc"}}]},
            "status": {
                "phase": "Running",
                "podIP": "10.244.0.9",
                "conditions": conditions,
                "containerStatuses": [
                    {
                        "name": "collector",
                        "started": "running" in state,
                        "ready": ready,
                        "restartCount": restarts,
                        "state": state,
                        "lastState": last_state or {},
                    }
                ],
            },
        }

    return make


@pytest.fixture
def pod(pod_document: Make) -> Callable[..., Pod]:
    """The operator's record of a pod."""
    return lambda *args, **kwargs: read_pod(pod_document(*args, **kwargs))


@pytest.fixture
def report_document() -> Make:
    """A collector's status document: one connection, three live streams, a writing sink."""

    def make(uid: str = "pod-1", start: str = "2026-11-22T10:00:00.000Z", **fields: Any) -> dict[str, Any]:
        streams = [{"stream": f"BTC-USDT/{kind}", "state": "live"} for kind in ("trade", "orderbook", "ticker")]
        return {
            "contract": 1,
            "epoch": f"{uid}/{start}",
            "shard": 0,
            "health": "Healthy",
            "counters": {"messages": 10},
            "connections": [{"name": "public", "state": "connected", "since": "2026-11-22T10:00:01Z"}],
            "lastMessageTime": "2026-11-22T10:05:00.123Z",
            "streams": streams,
            "gaps": [],
            "sinks": [{"name": "out", "type": "stdout", "healthy": True, "error": ""}],
            **fields,
        }

    return make


@pytest.fixture
def report(report_document: Make) -> Callable[..., Report]:
    """The operator's record of a status document."""
    return lambda *args, **kwargs: read_report(json.dumps(report_document(*args, **kwargs)))
