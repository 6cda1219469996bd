"""The API server as the operator's benchmark uses it: kubectl, and one watch."""

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
"""Resources that one kubectl makes; several run at once, since each keeps itself to 50 requests a second."""
AT_ONCE = 4
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
CONTROL_PLANE = ("kube-apiserver", "etcd", *CONTROLLERS)
PROGRESS = '{.metadata.name} {.metadata.generation} {.status.observedGeneration}{"\\n"}'


class KubectlError(Exception):
    """kubectl refused; the message is its own."""


def kubectl(*arguments: str, stdin: Document | None = None, timeout_s: float = 120) -> str:
    """What kubectl printed.

    Raises:
        KubectlError: it ended with another code than 0.
    """
    given = None if stdin is None else json.dumps(stdin)
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def create_all(documents: Sequence[Document]) -> None:
    """Creates objects, some batches at once."""
    batches = [documents[at : at + BATCH] for at in range(0, len(documents), BATCH)]

    def create(batch: Sequence[Document]) -> None:
        kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": list(batch)})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(create, batches))


def count(namespace: str, kind: str) -> int:
    """How many objects of a kind there are in a namespace."""
    return len(kubectl("-n", namespace, "get", kind, "-o", "name").split())


@contextmanager
def own_namespace(name: str, within_s: float) -> Iterator[str]:
    """A namespace that is gone when the block ends, with all that is in it."""
    kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, f"--timeout={within_s:.0f}s", timeout_s=within_s + 30)


class Progress:
    """A watch of all MarketCollectors of a namespace: how many have a status for their present spec."""

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
        """The API server ends all watches of a kind when its definition is applied anew: then another one begins."""
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
        """How many have one."""
        return len(self._settled)

    @property
    def last_at(self) -> float:
        """When the latest of them got it, in seconds of the monotonic clock."""
        return max(at for _, at in self._settled.values())

    def generation(self, name: str) -> int:
        """The newest generation of a resource for which it has a status; 0 without one."""
        return self._settled.get(name, (0, 0.0))[0]

    def settled_at(self, name: str) -> float:
        """When it got that, in seconds of the monotonic clock."""
        return self._settled[name][1]


def settled(line: str) -> tuple[str, int] | None:
    """Name and generation in a line of the watch, when the status there is that of the present spec.

    Lines without a name come as well: kubectl prints one for a list that is still empty.
    """
    match line.split():
        case [name, generation, observed] if generation == observed:
            return name, int(generation)
    return None


@contextmanager
def held_still() -> Iterator[None]:
    """Nobody but the operator acts meanwhile: the controllers are stopped, and go on afterwards.

    After thousands of Deployments they are busy for many minutes, and the operator answers each of their steps; its own
    rest would be seen only then. Where they run on another machine, they go on.
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
    """CPU seconds that the cluster's own programs have used so far; None where they run on another machine."""
    pids = _processes(CONTROL_PLANE)
    return sum(map(cpu_ns, pids)) / 1e9 if pids else None


def _processes(programs: Sequence[str]) -> list[int]:
    """Ids of our cluster's processes: they name the folder of its kubeconfig among their arguments."""
    folder = os.path.dirname(os.environ.get("KUBECONFIG", "")) or "no cluster"
    return [pid for pid in map(_number, os.listdir("/proc")) if pid and _is_one_of(pid, programs, folder)]


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0


def _is_one_of(pid: int, programs: Sequence[str], folder: str) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # gone meanwhile
        return False
    return os.path.basename(command[0]) in programs and any(f"{folder}/" in argument for argument in command)
