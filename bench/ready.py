"""``make bench-ready``: from `kubectl apply` until a MarketCollector is Ready, against a plain Deployment.

ROUNDS (7) changes the run. bench/README.md explains the numbers.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import results
from bench.results import Goal
from bench.rounds import paired, share, spread

from e2e_operator import IMAGES, OF_OPERATOR, Operator
from e2e_places import PREFIX, Place, Places, market_collector, pod_is_ready
from kube import Document, eventually, tools_with_cluster

ROUNDS = int(os.environ.get("ROUNDS", "7"))
EVERY_S = 0.05
TEMPLATE = "template"
"""The resource whose Deployment and ConfigMap the peer uses."""
PEER = {"app": "peer"}
GOAL = Goal(1.5)
"""The operator and the status may take half as long as the pod itself."""


def main() -> int:
    with serving() as place:
        written = results.place() | measured(place)
    goals = {"ready_ratio": GOAL.verdict(written["ready_ratio"]["median"])}
    rows = [(name, str(value), goals.get(name, "")) for name, value in written.items()]
    print(results.table([("what", "value", "goal"), *rows]))
    print(f"\n{results.write('ready.json', written)}")
    return 0


def measured(place: Place) -> results.Document:
    """All rounds in a namespace with a simulated exchange."""
    place.apply(market_collector(TEMPLATE))
    place.wait_ready(TEMPLATE)
    pairs = paired(ROUNDS, lambda: of_resource(place), lambda: of_pod(place))
    return {
        "rounds": ROUNDS,
        "ready_s": spread(pair.ours for pair in pairs).document(),
        "ready_peer_s": spread(pair.peer for pair in pairs).document(),
        "ready_ratio": share(pairs).document(),
    }


@contextmanager
def serving() -> Iterator[Place]:
    """A namespace with a simulated exchange, served by an operator from the chart; all is removed afterwards."""
    tools = tools_with_cluster()
    if tools.items("deployments", "--all-namespaces", "-l", OF_OPERATOR):
        sys.exit("another market-operator runs in the cluster: remove it first (make demo-down)")
    operator, places = Operator(tools, PREFIX, IMAGES), Places(tools)
    try:
        operator.install()
        place = places.take()
        yield place
        tools.delete_namespaces(place.namespace)
    finally:
        places.close()
        operator.uninstall()
        tools.proxy.end()


def of_resource(place: Place) -> float:
    """Seconds until a new MarketCollector is Ready."""
    started = time.monotonic()
    place.apply(market_collector())
    place.wait_ready(every=EVERY_S)
    took = time.monotonic() - started
    managed = ("deployments", "--selector", place.selector())
    place.kubectl("delete", "marketcollector", "okx")
    place.kubectl("wait", *managed, "--for=delete", "--timeout=60s")
    return took


def of_pod(place: Place) -> float:
    """Seconds until the pod of a plain Deployment with the same template is ready."""
    deployment = plain(place.owned("deployments")[0])
    started = time.monotonic()
    place.apply(deployment)
    path = f"/api/v1/namespaces/{place.namespace}/pods?labelSelector=app=peer"
    eventually(
        lambda: any(map(pod_is_ready, place.tools.proxy.call("GET", path)["items"])),
        what="the peer's pod is ready",
        every=EVERY_S,
    )
    took = time.monotonic() - started
    place.kubectl("delete", "deployment", "peer", "--cascade=foreground")
    return took


def plain(deployment: Document) -> Document:
    """A Deployment with the pod template of a collector, which no operator knows."""
    template = deployment["spec"]["template"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "peer"},
        "spec": {
            "selector": {"matchLabels": PEER},
            "template": {"metadata": {"labels": PEER}, "spec": template["spec"]},
        },
    }


if __name__ == "__main__":
    sys.exit(main())
