"""The API server as the operator's benchmark uses it: kubectl, and one watch."""

import json
import os
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
CONTROL_PLANE = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler")
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
        self._settled: dict[str, float] = {}
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
                    if (name := settled(line)) is not None:
                        self._settled.setdefault(name, time.monotonic())
            self._process.wait(10)
            if self._is_over:
                return
            self._process = self._start()

    @property
    def settled(self) -> int:
        """How many have one."""
        return len(self._settled)

    @property
    def last_at(self) -> float:
        """When the latest of them got it, in seconds of the monotonic clock."""
        return max(self._settled.values())


def settled(line: str) -> str | None:
    """The name in a line of the watch, when the status there is that of the present spec.

    Lines without a name come as well: kubectl prints one for a list that is still empty.
    """
    match line.split():
        case [name, generation, observed] if generation == observed:
            return name
    return None


def control_plane_cpu_s() -> float | None:
    """CPU seconds that the cluster's own programs have used so far; None where they run on another machine."""
    pids = [pid for pid in map(_number, os.listdir("/proc")) if pid and _program(pid) in CONTROL_PLANE]
    return sum(map(cpu_ns, pids)) / 1e9 if pids else None


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0


def _program(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone meanwhile
        return ""
    return os.path.basename(command.split(b"\0")[0].decode(errors="replace"))
