"""Access of the operator's benchmark to the API server: kubectl and one watch."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.process import cpu_ns

Document = dict[str, Any]

BATCH = 100
"""Resources per kubectl. Several run in parallel, as each limits itself to 50 requests per second."""
AT_ONCE = 4
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
CONTROL_PLANE = ("kube-apiserver", "etcd", *CONTROLLERS)
PROGRESS = '{.metadata.name} {.metadata.generation} {.status.observedGeneration}{"\\n"}'


class KubectlError(Exception):
    """kubectl failed. The message is its own."""


def kubectl(*arguments: str, stdin: Document | None = None, timeout_s: float = 120) -> str:
    """Run kubectl, and return its output.

    Raises:
        KubectlError: Its exit code is not 0.
    """
    given = None if stdin is None else json.dumps(stdin)
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def create_all(documents: Sequence[Document]) -> None:
    """Create objects in parallel batches."""
    batches = [documents[at : at + BATCH] for at in range(0, len(documents), BATCH)]

    def create(batch: Sequence[Document]) -> None:
        kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": list(batch)})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(create, batches))


def count(namespace: str, kind: str) -> int:
    """Number of objects of a kind in a namespace."""
    return len(kubectl("-n", namespace, "get", kind, "-o", "name").split())


@contextmanager
def own_namespace(name: str, within_s: float) -> Iterator[str]:
    """A namespace that is deleted with all its objects when the block ends."""
    kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, f"--timeout={within_s:.0f}s", timeout_s=within_s + 30)


class Progress:
    """A watch of the MarketCollectors of a namespace that counts those with a status for their current spec."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._settled: dict[str, tuple[int, float]] = {}
        self._is_over = False
        self._process = self._start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._process.terminate()
        self._reader.join(10)

    def _start(self) -> subprocess.Popen[str]:
        what = ("get", "marketcollectors", "--watch", "-o", f"jsonpath={PROGRESS}")
        return subprocess.Popen(["kubectl", "-n", self._namespace, *what], stdout=subprocess.PIPE, text=True)

    def _read(self) -> None:
        """Read the watch, and restart it when the API server ends it because the CRD was applied again."""
        while True:
            assert self._process.stdout is not None
            with self._process.stdout as lines:
                for line in lines:
                    if found := settled(line):
                        self._note(*found)
            self._process.wait(10)
            if self._is_over:
                return
            self._process = self._start()

    def _note(self, name: str, generation: int) -> None:
        if self.generation(name) != generation:
            self._settled[name] = generation, time.monotonic()

    @property
    def settled(self) -> int:
        """Number of resources with a status for their current spec."""
        return len(self._settled)

    @property
    def last_at(self) -> float:
        """Time of the latest such status, in seconds of the monotonic clock."""
        return max(at for _, at in self._settled.values())

    def generation(self, name: str) -> int:
        """The newest generation of a resource with a status, or 0."""
        return self._settled.get(name, (0, 0.0))[0]

    def settled_at(self, name: str) -> float:
        """Time of that status, in seconds of the monotonic clock."""
        return self._settled[name][1]


def settled(line: str) -> tuple[str, int] | None:
    """Name and generation in a line of the watch, if its status belongs to the current spec.

    kubectl also prints a line without a name, for an empty list.
    """
    match line.split():
        case [name, generation, observed] if generation == observed:
            return name, int(generation)
    return None


@contextmanager
def held_still() -> Iterator[None]:
    """Stop the cluster's controllers inside the block, so that only the operator acts.

    After thousands of Deployments they are busy for many minutes, and the operator reacts to each of their steps. Its
    idle state could be measured only afterwards. Controllers on another machine are not stopped.
    """
    pids = _processes(CONTROLLERS)
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def control_plane_cpu_s() -> float | None:
    """CPU seconds of the control plane so far, or None if it runs on another machine."""
    pids = _processes(CONTROL_PLANE)
    return sum(map(cpu_ns, pids)) / 1e9 if pids else None


def _processes(programs: Sequence[str]) -> list[int]:
    """Ids of our cluster's processes, which have the folder of its kubeconfig in their arguments."""
    folder = os.path.dirname(os.environ.get("KUBECONFIG", "")) or "no cluster"
    return [pid for pid in map(_number, os.listdir("/proc")) if pid and _is_one_of(pid, programs, folder)]


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0


def _is_one_of(pid: int, programs: Sequence[str], folder: str) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # the process ended in the meantime
        return False
    return os.path.basename(command[0]) in programs and any(f"{folder}/" in argument for argument in command)
