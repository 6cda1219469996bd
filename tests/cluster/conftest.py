"""Tests against the real API server that KUBECONFIG names (`make cluster`). A play-kubelet stands in for nodes.

It takes pods that fit no node, writes their status like a kubelet, and serves the /status of each on its own loopback
address. A test can therefore set every state of a collector exactly.
"""

import contextlib
import http.server
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from api_proxy import ApiProxy
from end_state import end_state
from helm_release import write_chart
from kstatus import kstatus
from kube import Proxy
from loopback import new_address, new_host
from market_operator.cluster.kinds import CHILDREN, PODS, Kind
from market_operator.resource.naming import COLLECTOR_LABEL
from operator_process import OperatorProcess
from other_release import release_environment

ROOT = Path(__file__).parents[2]
Document = dict[str, Any]
COLLECTORS = "apis/marketcollector.dev/v1alpha1"
PATHS = {
    "mcol": f"{COLLECTORS}/namespaces/{{}}/marketcollectors",
    "deployments": "apis/apps/v1/namespaces/{}/deployments",
    "services": "api/v1/namespaces/{}/services",
    "configmaps": "api/v1/namespaces/{}/configmaps",
    "handovers": "api/v1/namespaces/{}/configmaps",
    "poddisruptionbudgets": "apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "networkpolicies": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "pods": "api/v1/namespaces/{}/pods",
    "replicasets": "apis/apps/v1/namespaces/{}/replicasets",
    "resourcequotas": "api/v1/namespaces/{}/resourcequotas",
}
NOWHERE = {"op-test/no-such-node": "true"}
# The longest wait for an event that must come. A test that claims more says its own seconds.
PATIENCE_S = 180.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def eventually(claim: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Waits until `claim` raises nothing; raises its last error after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = 0.1
    while True:
        try:
            claim()
        except (AssertionError, LookupError, ValueError, Refused):
            if time.monotonic() > deadline:
                raise
            time.sleep(pause)
            # Long waits ask less often: these reads were two fifths of the API server's requests.
            pause = min(pause * 1.2, 0.5)
        else:
            return


class Refused(Exception):  # noqa: N818 - a refusal is what many tests want
    """The API server refused a request; the text is its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def unless_gone() -> Iterator[None]:
    """Ignores a refusal because a pod, or an object that it mounts, was deleted meanwhile."""
    try:
        yield
    except Refused as refusal:
        if refusal.status != HTTPStatus.NOT_FOUND:
            raise


def _message(answer: str) -> str:
    return str(json.loads(answer)["message"]) if answer.startswith("{") else answer


class Api:
    """Plain HTTP to the API server, through `kubectl proxy`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def call(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Document:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._address}/{path}", data, {"Content-Type": content_type}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                document: Document = json.load(response)
                return document
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, _message(error.read().decode())) from None

    def create(self, kind: str, namespace: str, document: Document, query: str = "") -> Document:
        return self.call("POST", PATHS[kind].format(namespace) + query, document)

    def get(self, kind: str, namespace: str, name: str) -> Document:
        return self.call("GET", f"{PATHS[kind].format(namespace)}/{name}")

    def all(self, kind: str, namespace: str) -> list[Document]:
        """All objects of a kind. Handover documents are a kind of their own, besides other ConfigMaps."""
        found: list[Document] = self.call("GET", PATHS[kind].format(namespace))["items"]
        found = [each for each in found if each["metadata"]["name"] != "kube-root-ca.crt"]
        if PATHS[kind] != PATHS["handovers"]:
            return found
        return [each for each in found if each["metadata"]["name"].endswith("-handover") == (kind == "handovers")]

    def merge(self, kind: str, namespace: str, name: str, patch: Document, subresource: str = "") -> Document:
        path = f"{PATHS[kind].format(namespace)}/{name}{subresource}"
        return self.call("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, kind: str, namespace: str, name: str, policy: str = "Background") -> None:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        self.call("DELETE", f"{PATHS[kind].format(namespace)}/{name}", body)

    def names(self, kind: str, namespace: str) -> set[str]:
        return {each["metadata"]["name"] for each in self.all(kind, namespace)}

    def versions(self, namespace: str) -> dict[str, str]:
        """Resource versions of the resources and their managed objects. Every write changes one."""
        kinds = ("mcol", "deployments", "services", "configmaps", "poddisruptionbudgets", "networkpolicies")
        return {
            f"{kind}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
            for kind in kinds
            for each in self.all(kind, namespace)
        }


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., None]:
    """Asserts that a claim comes true in time."""
    return eventually


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    found = os.environ.get("KUBECONFIG", "")
    if not found:
        reason = "KUBECONFIG names no cluster: make cluster, then eval the output of make kubeconfig"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def api(kubeconfig: str) -> Iterator[Api]:
    crds = ROOT / "crds/marketcollectors.yaml"
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "-f", str(crds)]
    subprocess.run(command, check=True, capture_output=True)
    command = ["kubectl", "wait", "--for=condition=Established", "-f", str(crds)]
    subprocess.run(command, check=True, capture_output=True)
    proxy = Proxy("kubectl", os.environ)
    try:
        found = Api(proxy.address)
        _no_other_operator(found)
        yield found
    finally:
        proxy.end()


def _no_other_operator(api: Api) -> None:
    """Fails when another operator serves all namespaces, because it would reconcile the tests' resources."""
    selector = "app.kubernetes.io%2Fname%3Dmarket-operator"
    for each in api.call("GET", f"apis/apps/v1/deployments?labelSelector={selector}")["items"]:
        arguments = each["spec"]["template"]["spec"]["containers"][0].get("args", [])
        if each["spec"]["replicas"] and not any(argument.startswith("--namespace") for argument in arguments):
            where = f"{each['metadata']['namespace']}/{each['metadata']['name']}"
            pytest.fail(f"{where} serves all namespaces; uninstall it first (make demo-down, helm uninstall)")


@contextlib.contextmanager
def new_namespace(api: Api) -> Iterator[str]:
    name = f"op-{uuid.uuid4().hex[:8]}"
    api.call("POST", "api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    with contextlib.suppress(Refused):  # a test may have ended it
        api.call("DELETE", f"api/v1/namespaces/{name}")


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    with new_namespace(api) as name:
        yield name


def _start_release(release: Path, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts another release as a program: a forked operator would run the code of this one."""
    environment = release_environment(release)
    command = [sys.executable, "-m", "market_operator", *arguments]
    with log.open("ab") as output:
        return subprocess.Popen(command, stderr=output, stdout=output, env={**os.environ, **environment})


class Operator:
    """The operator as a process of its own, as from a shell. `release` is a zip of another release (tests/upgrade)."""

    def __init__(
        self, arguments: list[str], log: Path, environment: dict[str, str], release: Path | None = None
    ) -> None:
        self.address = new_address()
        self.log = log
        command = ["run", "--http", self.address, *arguments]
        self.process = (
            _start_release(release, command, log)
            if release
            else OperatorProcess(command, log, {**os.environ, **environment})
        )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith(f"market_operator_{name}")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def wait_ready(self) -> None:
        def ready() -> None:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(urllib.error.URLError):
                assert self.get("/readyz") == (200, "ok\n")
                return
            raise AssertionError("not listening")

        eventually(ready)

    def stop(self, name: int = signal.SIGTERM) -> int:
        self.process.send_signal(name)
        return self.process.wait(timeout=10)


Start = Callable[..., Operator]


@pytest.fixture
def start(kubeconfig: str, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Starts an operator for the test's namespace; further arguments are added to its command line.

    With `everywhere` it serves what those say, or all namespaces.
    """
    running: list[Operator] = []

    def start_one(
        *arguments: str,
        environment: dict[str, str] | None = None,
        wait: bool = True,
        everywhere: bool = False,
        release: Path | None = None,
    ) -> Operator:
        scope = [] if everywhere else ["--namespace", namespace]
        given = [*scope, "--health-via", "direct", "--counter-interval", "1s", *arguments]
        operator = Operator(given, tmp_path / f"operator-{len(running)}.log", environment or {}, release)
        running.append(operator)
        if wait:
            operator.wait_ready()
        return operator

    yield start_one
    for operator in running:
        if operator.process.poll() is None:
            operator.process.send_signal(signal.SIGCONT)
            operator.stop()
        sys.stdout.write(f"--- {operator.log.name}\n{operator.log.read_text()}")


def resource(name: str = "okx-btc", **spec: Any) -> Document:
    """A resource whose pods no real node takes, and whose exchange is nowhere."""
    fields: Document = {"exchange": "okx", "dataTypes": ["trade", "orderbook"], **spec}
    if not {"symbol", "symbols"} & set(spec):
        fields["symbol"] = "BTC-USDT"
    fields["template"] = {"nodeSelector": NOWHERE, **spec.get("template", {})}
    fields.setdefault("connection", {"endpoint": {"websocket": "ws://127.0.0.1:1", "rest": "http://127.0.0.1:1"}})
    return {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "metadata": {"name": name},
        "spec": fields,
    }


class PlayPod:
    """One pod. `source`, or else `report`, gives its /status; None means that it does not answer."""

    def __init__(self, document: Document) -> None:
        self.name, self.uid = document["metadata"]["name"], document["metadata"]["uid"]
        self.symbols: list[str] = []
        self.address = new_host()
        self.report: Document | None = None
        self.source: Callable[[], Document] | None = None
        self._server = http.server.ThreadingHTTPServer((self.address, 8080), self._handler())
        acceptor().add(self._server)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        pod = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                report = pod.source() if pod.source else pod.report
                body = json.dumps(report).encode()
                self.send_response(503 if report is None or self.path != "/status" else 200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing to log."""

        return Handler

    def close(self) -> None:
        acceptor().remove(self._server)


class Acceptor:
    """Accepts the connections of all pods in one thread.

    Each server's `serve_forever` wakes up many times a second: 1,000 pods would take more than a core.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._changes = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, server: http.server.HTTPServer) -> None:
        server.timeout = 0
        with self._changes:
            self._selector.register(server, selectors.EVENT_READ, server)

    def remove(self, server: http.server.HTTPServer) -> None:
        with self._changes:
            if server.fileno() >= 0:  # a pod may be closed twice
                self._selector.unregister(server)
                server.server_close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                server = key.data
                with self._changes:
                    if server.fileno() >= 0:  # it was not closed meanwhile
                        server.handle_request()


@cache
def acceptor() -> Acceptor:
    return Acceptor()


class Kubelet:
    """Plays the pods of a namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self.pods: dict[str, PlayPod] = {}

    def run_all(self, count: int, ready: bool = True, **report: Any) -> list[PlayPod]:
        """Waits until there are `count` pods, and starts those that do not run yet."""

        def enough() -> None:
            assert len(self.living()) == count

        eventually(enough)
        return self.catch_up(ready, **report)

    def catch_up(self, ready: bool = True, **report: Any) -> list[PlayPod]:
        """Starts all pods that do not run yet; returns them."""
        new = [document for document in self.living() if document["metadata"]["uid"] not in self.pods]
        return [pod for document in new if (pod := self._run_if_there(document, ready, **report))]

    def _run_if_there(self, document: Document, ready: bool, **report: Any) -> PlayPod | None:
        with unless_gone():
            return self.run(document, ready, **report)
        return None

    def bury(self) -> None:
        """Stops answering for pods that are gone."""
        for uid in set(self.pods) - {each["metadata"]["uid"] for each in self.living()}:
            self.pods.pop(uid).close()

    def living(self) -> list[Document]:
        pods = self._api.all("pods", self._namespace)
        return [
            pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] != "Failed"
        ]

    def run(self, document: Document, ready: bool = True, **report: Any) -> PlayPod:
        pod = PlayPod(document)
        self.pods[pod.uid] = pod
        try:
            config = self._configuration(document)
            pod.symbols = config["spec"]["symbols"]
            pod.report = status_document(pod, shard=config["shard"], types=stream_types(config["spec"]), **report)
            self.say(pod, {"running": {"startedAt": "2026-11-22T10:00:00Z"}}, ready)
        except BaseException:  # it does not run, so it is started again
            self.pods.pop(pod.uid).close()
            raise
        return pod

    def mounted(self, name: str) -> Document:
        """The collector's document that a pod mounts."""
        return self._configuration(self._api.get("pods", self._namespace, name))

    def _configuration(self, document: Document) -> Document:
        name = next(v["configMap"]["name"] for v in document["spec"]["volumes"] if v["name"] == "config")
        text = self._api.get("configmaps", self._namespace, name)["data"]["collector.json"]
        found: Document = json.loads(text)
        return found

    def say(
        self, pod: PlayPod, state: Document, ready: bool, last_state: Document | None = None, restarts: int = 0
    ) -> None:
        """Writes a pod's status as a kubelet does; a Deployment's minReadySeconds count from now."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status = {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "conditions": [
                {"type": kind, "status": str(ready), "lastTransitionTime": now}
                for kind in ("Initialized", "ContainersReady", "Ready")
            ],
            "containerStatuses": [
                {
                    "name": "collector",
                    "image": "x",
                    "imageID": "x",
                    "ready": ready,
                    "started": "running" in state,
                    "restartCount": restarts,
                    "state": state,
                    "lastState": last_state or {},
                }
            ],
        }
        self._api.merge("pods", self._namespace, pod.name, {"status": status}, "/status")

    def evict(self, pod: PlayPod, message: str = "The node was low on resource: memory.") -> None:
        """Ends a pod as a kubelet that evicts it. Its object stays, and its ReplicaSet makes another."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": now}
        status = {
            "phase": "Failed",
            "reason": "Evicted",
            "message": message,
            "conditions": [ready],
            "containerStatuses": [],
        }
        self._api.merge("pods", self._namespace, pod.name, {"status": status}, "/status")
        self.pods[pod.uid].close()

    def close(self) -> None:
        for pod in self.pods.values():
            pod.close()


def stream_types(spec: Document) -> list[str]:
    """Names of the streams of one symbol: the data type, and for candles one for each interval."""
    candles = [f"candle/{interval}" for interval in spec.get("candle", {}).get("intervals", ["1m"])]
    return [name for kind in spec["dataTypes"] for name in (candles if kind == "candle" else [kind])]


def status_document(pod: PlayPod, shard: int, types: list[str], start: str = "t1", **fields: Any) -> Document:
    """The status document of a healthy collector."""
    streams = [{"stream": f"{symbol}/{kind}", "state": "live"} for symbol in pod.symbols for kind in types]
    return {
        "contract": 1,
        "epoch": f"{pod.uid}/{start}",
        "shard": shard,
        "health": "Healthy",
        "counters": {"messages": 100, "reconnections": 1},
        "connections": [{"name": "public", "state": "connected", "since": "2026-11-22T10:00:00Z"}],
        "lastMessageTime": "2026-11-22T10:00:05Z",
        "streams": streams,
        "gaps": [],
        "sinks": [{"name": "out", "type": "stdout", "healthy": True}],
        **fields,
    }


@pytest.fixture
def kubelet(api: Api, namespace: str) -> Iterator[Kubelet]:
    playing = Kubelet(api, namespace)
    yield playing
    playing.close()


class Place:
    """One test's namespace, with helpers for its resources."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace

    def create(self, name: str = "okx-btc", **spec: Any) -> Document:
        return self.api.create("mcol", self.namespace, resource(name, **spec))

    def change(self, name: str = "okx-btc", **spec: Any) -> Document:
        return self.api.merge("mcol", self.namespace, name, {"spec": spec})

    def replace(self, name: str = "okx-btc", **spec: Any) -> Document:
        """Replaces the whole spec of a resource, as `kubectl replace` does."""
        path = f"{PATHS['mcol'].format(self.namespace)}/{name}"
        patch = [{"op": "replace", "path": "/spec", "value": resource(name, **spec)["spec"]}]
        return self.api.call("PATCH", path, patch, "application/json-patch+json")

    def status(self, name: str = "okx-btc") -> Document:
        found: Document = self.api.get("mcol", self.namespace, name)["status"]
        return found

    def condition(self, kind: str, name: str = "okx-btc") -> tuple[str, str, str]:
        found = {each["type"]: each for each in self.status(name)["conditions"]}[kind]
        return found["status"], found["reason"], found["message"]

    def expect(self, kind: str, status: str, reason: str, name: str = "okx-btc", seconds: float = PATIENCE_S) -> str:
        """Waits for a condition; returns its message."""

        def claim() -> None:
            assert self.condition(kind, name)[:2] == (status, reason), self.condition(kind, name)

        eventually(claim, seconds)
        return self.condition(kind, name)[2]

    def expect_current(self, name: str = "okx-btc") -> None:
        """Waits until the rollout is complete for `kubectl`, Helm and GitOps tools, which is later than Ready."""

        def claim() -> None:
            assert kstatus(self.api.get("mcol", self.namespace, name)) == "Current"

        eventually(claim)

    def names(self, kind: str) -> set[str]:
        return self.api.names(kind, self.namespace)

    def versions(self) -> dict[str, str]:
        """Resource versions without Deployments, whose controller updates them minReadySeconds later."""
        found = self.api.versions(self.namespace).items()
        return {name: version for name, version in found if not name.startswith("deployments/")}


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of a user: one MarketCollector, okx-btc."""
    return write_chart(tmp_path, resource())


@pytest.fixture
def say_status() -> Callable[..., Document]:
    """Makes a collector's status document for a play-pod."""
    return status_document


@pytest.fixture
def place(api: Api, namespace: str) -> Place:
    return Place(api, namespace)


class Ground:
    """A namespace of its own with a play-kubelet, and an operator that reaches the API server through a proxy."""

    def __init__(self, api: Api, proxy: ApiProxy, namespace: str, folder: Path) -> None:
        self.proxy, self.namespace = proxy, namespace
        self.place, self.kubelet = Place(api, namespace), Kubelet(api, namespace)
        self.log = folder / "operator.log"
        self._environment = {"KUBECONFIG": str(proxy.write_kubeconfig(folder / "through-proxy"))}
        self._operator: Operator | None = None

    def start(self, *arguments: str, wait: bool = True) -> Operator:
        """Starts the operator; further arguments are added to its command line."""
        assert self._operator is None or self._operator.process.poll() is not None, "the previous operator still runs"
        given = ["--namespace", self.namespace, "--health-via", "direct", "--counter-interval", "1s", *arguments]
        self._operator = Operator(given, self.log, self._environment)
        if wait:
            self._operator.wait_ready()
        return self._operator

    def eventually(self, claim: Callable[[], object], seconds: float = PATIENCE_S, pods: bool = True) -> None:
        """Waits until `claim` raises nothing; starts new pods meanwhile if `pods` is set."""

        def with_pods() -> None:
            if pods:
                self.kubelet.catch_up()
            claim()

        eventually(with_pods, seconds)

    def state(self, name: str) -> Document:
        """The current state of a resource and its managed objects (end_state.py)."""
        return self.states([name])[name]

    def states(self, names: Collection[str]) -> dict[str, Document]:
        """The current states of many resources, by one list of each kind: single reads keep the API server busy."""
        resources = {each["metadata"]["name"]: each for each in self.place.api.all("mcol", self.namespace)}
        managed = [self._by_collector(kind, names) for kind in CHILDREN.values()]
        pods = self._by_collector(PODS, names)
        return {
            name: end_state(name, resources.get(name, {}), [each for of in managed for each in of[name]], pods[name])
            for name in names
        }

    def _by_collector(self, kind: Kind, names: Collection[str]) -> dict[str, list[Document]]:
        selector = urllib.parse.quote(f"{COLLECTOR_LABEL} in ({','.join(names)})")
        path = f"{kind.path(self.namespace)[1:]}?labelSelector={selector}"
        found: defaultdict[str, list[Document]] = defaultdict(list)
        for each in self.place.api.call("GET", path)["items"]:
            found[each["metadata"]["labels"][COLLECTOR_LABEL]].append(each)
        return found

    def kill(self) -> None:
        """Ends the operator with kill -9; returns when it is gone."""
        assert self._operator
        self._operator.stop(signal.SIGKILL)

    def close(self) -> None:
        if self._operator and self._operator.process.poll() is None:
            self._operator.stop()
        self.kubelet.close()
        sys.stdout.write(self.log.read_text() if self.log.exists() else "")


@pytest.fixture(scope="session")
def new_ground(
    api: Api, kubeconfig: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], contextlib.AbstractContextManager[Ground]]:
    """Makes grounds, each for as long as its context lasts."""

    @contextlib.contextmanager
    def make() -> Iterator[Ground]:
        with new_namespace(api) as name, ApiProxy.to(Path(kubeconfig)) as proxy:
            found = Ground(api, proxy, name, tmp_path_factory.mktemp(name))
            with contextlib.closing(found):
                yield found

    return make


@pytest.fixture
def ground(new_ground: Callable[[], contextlib.AbstractContextManager[Ground]]) -> Iterator[Ground]:
    """A ground for one test."""
    with new_ground() as found:
        yield found


@pytest.fixture
def pod(place: Any, kubelet: Any, start: Start) -> Any:
    """The pod of a resource that is Ready."""
    start()
    place.create(healthCheckInterval="1s")
    [found] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    return found
