"""Places for end-to-end tests: a namespace with its own simulated exchange, and the queries of tests.

Changes use kubectl, as a user would, and reads that repeat go through one `kubectl proxy`. The simulator and the
collectors are reached through the API server's proxy, which also works with a kind cluster on a laptop.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from kube import PATIENCE_S, ROOT, CommandError, Document, History, Log, Tools, eventually, restricted_namespace

PREFIX = "mc-e2e"
LABEL = {"marketcollector.dev/e2e": "true"}
SIMULATOR = ROOT / "simulator" / "kubernetes.yaml"
STREAMS = ("trade", "orderbook", "ticker")


@dataclass(frozen=True)
class Condition:
    """One condition of a status; `Unknown` with reason `Absent` where the status has none of that type."""

    status: str
    reason: str
    message: str


def condition(resource: Document, kind: str) -> Condition:
    for entry in resource.get("status", {}).get("conditions", []):
        if entry["type"] == kind:
            return Condition(entry["status"], entry["reason"], entry["message"])
    return Condition("Unknown", "Absent", "")


def is_ready(resource: Document) -> bool:
    """Whether it is Ready for its current spec."""
    seen = resource.get("status", {}).get("observedGeneration")
    return condition(resource, "Ready").status == "True" and seen == resource["metadata"]["generation"]


def pod_is_ready(pod: Document) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def restarts(pod: Document) -> int:
    return sum(container["restartCount"] for container in pod["status"].get("containerStatuses", []))


def market_collector(name: str = "okx", symbol: str | None = "BTC-USDT", **spec: Any) -> Document:
    """A MarketCollector that uses the simulator in its namespace, with short timeouts and backoff."""
    whole = {
        "exchange": "okx",
        "symbol": symbol,
        "dataTypes": list(STREAMS),
        "healthCheckInterval": "1s",
        "staleAfter": "10s",
        "connection": {
            "backoff": {"initial": "100ms", "max": "1s"},
            "endpoint": {"websocket": "ws://simulator:8443", "rest": "http://simulator:8443"},
        },
        "sinks": [{"name": "out", "type": "stdout"}],
    }
    return {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "metadata": {"name": name},
        "spec": {field: value for field, value in (whole | spec).items() if value is not None},
    }


def simulator_name(exchange: str = "okx") -> str:
    """The name of the Deployment and the Service of a simulated exchange."""
    return "simulator" if exchange == "okx" else f"simulator-{exchange}"


def simulator_objects(symbols: Sequence[str] = ("BTC-USDT", "ETH-USDT"), exchange: str = "okx") -> list[Document]:
    """The manifests of a simulator, with a generated market of 20 messages a second for each symbol."""
    text = SIMULATOR.read_text().replace("instance: simulator", f"instance: {simulator_name(exchange)}")
    objects = [document for document in yaml.safe_load_all(text) if document]
    for document in objects:
        document["metadata"]["name"] = simulator_name(exchange)
    (deployment,) = [document for document in objects if document["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    listen = [argument for argument in container["args"] if argument.startswith(("--listen", "--control"))]
    market = ["--market=7", f"--symbols={','.join(symbols)}"]
    container["args"] = ["serve", f"--exchange={exchange}", *market, *listen]
    return objects


@dataclass(frozen=True)
class Place:
    """One namespace with one simulator."""

    tools: Tools
    namespace: str

    def apply(self, *documents: Document) -> None:
        self.tools.apply(*documents, namespace=self.namespace)

    def patch(self, spec: Document, name: str = "okx") -> None:
        """Merge `spec` into the resource's spec."""
        self.kubectl("patch", "marketcollector", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.tools.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def resource(self, name: str = "okx") -> Document:
        path = f"/apis/marketcollector.dev/v1alpha1/namespaces/{self.namespace}/marketcollectors/{name}"
        found: Document = self.tools.proxy.call("GET", path)
        return found

    def status(self, name: str = "okx") -> Document:
        status: Document = self.resource(name).get("status", {})
        return status

    def selector(self, name: str = "okx") -> str:
        """The label selector of the resource's pods, as in its status for `kubectl scale`."""
        return eventually(
            lambda: str(self.status(name).get("selector", "")), what=f"{name} has the selector of its pods"
        )

    def pods(self, name: str = "okx") -> list[Document]:
        """The collector pods of one resource, including those being deleted."""
        path = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={quote(self.selector(name))}"
        found: list[Document] = self.tools.proxy.call("GET", path)["items"]
        return found

    def pod(self, name: str = "okx") -> Document:
        """The only collector pod of one resource that is not being deleted."""
        (pod,) = [pod for pod in self.pods(name) if "deletionTimestamp" not in pod["metadata"]]
        return pod

    def owned(self, kind: str) -> list[Document]:
        """Objects of some kinds in the namespace that belong to a MarketCollector, directly or indirectly."""
        found = self.tools.items("-n", self.namespace, kind, "-l", "app.kubernetes.io/name!=market-simulator")
        return [object_ for object_ in found if object_["metadata"].get("ownerReferences")]

    def wait_ready(self, name: str = "okx", within: float = PATIENCE_S, every: float = 0.3) -> Document:
        """Wait until the resource is Ready for its current spec, and return it."""

        def ready() -> Document | None:
            resource = self.resource(name)
            return resource if is_ready(resource) else None

        return eventually(ready, f"{name} in {self.namespace} is Ready", within, every)

    def wait_available(self, name: str = "okx", within: float = PATIENCE_S) -> None:
        """Wait until the resource's pods have been ready for minReadySeconds, which is later than Ready.

        Only then does a rollout keep the old pod until the new one is available.
        """
        which = ("-n", self.namespace, "deployments", "--selector", self.selector(name))
        limit = f"--timeout={within:g}s"
        self.tools.kubectl("wait", *which, "--for=condition=Available", limit, timeout=within + 10)

    def wait_condition(self, kind: str, status: str, name: str = "okx", within: float = PATIENCE_S) -> Condition:
        """Wait until the condition has that status, and return it."""

        def reached() -> Condition | None:
            found = condition(self.resource(name), kind)
            return found if found.status == status else None

        return eventually(reached, f"{kind} of {name} in {self.namespace} is {status}", within)

    def wait_moving(self, count: str = "messages", name: str = "okx", within: float = PATIENCE_S) -> int:
        """Wait until a number of the status has grown since this call, and return it."""
        before = int(self.status(name).get(count) or 0)

        def grown() -> int | None:
            now = int(self.status(name).get(count) or 0)
            return now if now > before else None

        return eventually(grown, f"{count} of {name} in {self.namespace} grows beyond {before}", within)

    def history(self, *arguments: str) -> History:
        """A watch of objects in this namespace."""
        return History(self.tools, ("-n", self.namespace, *arguments))

    def collector_status(self, pod: str) -> Document:
        """The collector's own /status document."""
        said: Document = self.tools.proxy.call("GET", self._path("pods", f"{pod}:8080", "/status"))
        return said

    def fault(self, what: str, **body: Any) -> Document:
        """Inject a fault into the simulated exchange."""
        path = self._path("services", "simulator:8444", f"/faults/{what}")
        said: Document = self.tools.proxy.call("POST", path, body)
        return said

    def clear_faults(self) -> None:
        """End all faults."""
        self.tools.proxy.call("DELETE", self._path("services", "simulator:8444", "/faults"))

    def log(self, pod: str, *options: str) -> Log:
        """Follow the log of a pod, and keep it after the pod has ended."""
        return Log(self.tools, ("-n", self.namespace, pod, *options))

    def scale_simulator(self, replicas: int) -> None:
        self.kubectl("scale", "deployment", "simulator", f"--replicas={replicas}")

    def wait_simulator(self, exchange: str = "okx") -> None:
        self.kubectl("rollout", "status", f"deployment/{simulator_name(exchange)}", "--timeout=60s")

    def _path(self, kind: str, name: str, path: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{kind}/{name}/proxy{path}"

    def report(self) -> str:
        """A description of the namespace for the analysis of a failure."""
        questions = (
            ("get", "marketcollectors,deployments,pods,events", "-o", "wide"),
            ("get", "marketcollectors", "-o", "yaml"),
            ("describe", "pods"),
            ("logs", "--all-containers", "--prefix", "--tail=25", "-l", "app.kubernetes.io/name"),
        )
        return "\n".join(f"$ kubectl -n {self.namespace} {' '.join(q)}\n{self._answer(q)}" for q in questions)

    def _answer(self, question: tuple[str, ...]) -> str:
        try:
            return self.kubectl(*question)
        except CommandError as error:
            return error.stderr


@dataclass
class Places:
    """Provides places. It creates the next one while a test runs, as a simulator takes seconds to start."""

    tools: Tools
    ahead: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))

    def __post_init__(self) -> None:
        self._next: Future[Place] = self.ahead.submit(self._make)

    def take(self) -> Place:
        place = self._next.result()
        self._next = self.ahead.submit(self._make)
        place.wait_simulator()
        return place

    def close(self) -> None:
        unused = self._next.result()
        self.ahead.shutdown()
        self.tools.delete_namespaces(unused.namespace)

    def _make(self) -> Place:
        place = Place(self.tools, f"{PREFIX}-{uuid.uuid4().hex[:6]}")
        namespace = restricted_namespace(place.namespace)
        namespace["metadata"]["labels"] |= LABEL
        self.tools.apply(namespace)
        place.apply(*simulator_objects())
        return place


def kill_container(place: Place, pod: Document) -> None:
    """SIGKILL for the collector's process, as the kernel does when memory runs out.

    Inside the container the kernel protects process 1, so the signal is sent on the node, which is this machine. On
    another node, SIGTERM from inside the container has to suffice.
    """
    if processes := local_processes(pod):
        os.kill(min(processes), signal.SIGKILL)
    else:
        place.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", "kill 1")


def as_arbitrary_user(pod: Document) -> Document:
    """A copy of a pod without its labels, as OpenShift's SCC `restricted-v2` runs a pod: any user, in the root group."""
    user = 1000680000
    chosen = {"runAsUser": user, "runAsGroup": 0, "fsGroup": user}
    spec = {name: value for name, value in pod["spec"].items() if name != "nodeName"}
    spec["securityContext"] = pod["spec"]["securityContext"] | chosen
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "arbitrary-user"}, "spec": spec}


def local_processes(pod: Document) -> list[int]:
    """The processes of a pod's container; none if it has not started, or if the node is another machine."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    container = statuses[0].get("containerID", "").rpartition("//")[2]
    if not container:
        return []
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if container in _read_cgroup(process)]


def _read_cgroup(process: Path) -> str:
    try:
        return (process / "cgroup").read_text()
    except OSError:
        return ""


def volume_directory(place: Place) -> Path:
    """The directory on the node behind `volume`."""
    return Path("/var/tmp") / place.namespace


@contextmanager
def volume(place: Place) -> Iterator[Document]:
    """A file sink on a claim. Unless the directory exists, it belongs to root, and no fsGroup changes that."""
    name, directory = place.namespace, volume_directory(place)
    of_node = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": LABEL},
        "spec": {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": name, "name": "archive"},
            "hostPath": {"path": str(directory), "type": "DirectoryOrCreate"},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "archive"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
            "storageClassName": "",
            "volumeName": name,
        },
    }
    place.tools.apply(of_node)
    try:
        place.apply(claim)
        yield {"name": "archive", "type": "file", "file": {"directory": "/data", "claimName": "archive"}}
    finally:
        place.kubectl("delete", "marketcollector", "okx", "--ignore-not-found")
        place.tools.kubectl("delete", "persistentvolume", name, "--wait=false")
        shutil.rmtree(directory, ignore_errors=True)
