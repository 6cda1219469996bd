"""kubectl and helm as a user has them: the tests' only way to the cluster. Reads that repeat use a `kubectl proxy`.

Nothing here knows what a MarketCollector is (that is `e2e_places.py`), and nothing sleeps without a deadline.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "market-operator"
KUBECONFIG_SCRIPT = ROOT / "hack" / "cluster" / "kubeconfig.sh"

Document = dict[str, Any]
PATIENCE_S = 240.0
"""The longest wait for an event that must come: only a fault takes this long, even on a busy machine."""

T = TypeVar("T")


class CommandError(Exception):
    """A command ended with a code other than 0. `stderr` is its error output."""

    def __init__(self, command: tuple[str, ...], code: int, stderr: str) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}: {stderr.strip()}")
        self.code = code
        self.stderr = stderr


class TooLateError(AssertionError):
    """A condition was not true within its deadline."""


class Proxy:
    """One `kubectl proxy`, until `end`. A kubectl for each request takes 0.18 s of CPU, and waits repeat."""

    def __init__(self, kubectl: str, environment: Mapping[str, str]) -> None:
        command = [kubectl, "proxy", "--port=0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout
        port = self._process.stdout.readline().strip().rpartition(":")[2]
        self.address = f"http://127.0.0.1:{port}"

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def call(self, method: str, path: str, body: Document | None = None) -> Any:
        """The JSON answer to a request.

        Raises:
            CommandError: The answer is an error; its code is the HTTP status.
        """
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except HTTPError as error:
            with error:
                raise CommandError(("kubectl proxy:", method, path), error.code, error.read().decode()) from None


@dataclass(frozen=True)
class Tools:
    """kubectl and helm for one cluster."""

    environment: Mapping[str, str]

    def run(self, *command: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run a command, and return its output.

        Raises:
            CommandError: The command failed.
            subprocess.TimeoutExpired: It took longer than `timeout` seconds.
        """
        done = subprocess.run(
            [self._find(command[0]) or command[0], *command[1:]],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
        )
        if done.returncode != 0:
            raise CommandError(command, done.returncode, done.stderr)
        return done.stdout

    def _find(self, program: str) -> str | None:
        return shutil.which(program, path=self.environment.get("PATH"))

    def has(self, program: str) -> bool:
        """Whether the program is installed."""
        return self._find(program) is not None

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        return self.run("kubectl", *arguments, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str, stdin: str | None = None, timeout: float = 300) -> str:
        return self.run("helm", *arguments, stdin=stdin, timeout=timeout)

    @cached_property
    def proxy(self) -> Proxy:
        """Plain requests to the API server."""
        return Proxy(self._find("kubectl") or "kubectl", self.environment)

    def get(self, *arguments: str) -> Document:
        """One object, or a list of them, as kubectl's JSON."""
        document: Document = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return document

    def items(self, *arguments: str) -> list[Document]:
        """The objects of a list."""
        found: list[Document] = self.get(*arguments)["items"]
        return found

    def apply(self, *documents: Document, namespace: str | None = None, dry_run: bool = False) -> str:
        """Apply the documents in one call, as a user does."""
        where = ("-n", namespace) if namespace else ()
        how = ("--dry-run=server",) if dry_run else ()
        return self.kubectl("apply", *where, *how, "-f", "-", stdin=json.dumps(as_list(*documents)))

    def delete_namespaces(self, *names: str) -> None:
        """Delete namespaces without waiting for their end."""
        if names:
            self.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")


def as_list(*documents: Document) -> Document:
    return {"apiVersion": "v1", "kind": "List", "items": list(documents)}


def restricted_namespace(name: str) -> Document:
    """A namespace whose API server refuses every pod below the restricted Pod Security Standard."""
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def cluster_environment() -> dict[str, str]:
    """This process's environment with the KUBECONFIG and PATH of `hack/cluster`.

    Where that has no cluster, KUBECONFIG names none: tests must never fall back to one that kubectl happens to know.
    """
    script = f'settings=$({KUBECONFIG_SCRIPT} 2>/dev/null) && eval "$settings" || export KUBECONFIG=/dev/null; env -0'
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False).stdout
    return dict(entry.split("=", 1) for entry in printed.split("\0") if "=" in entry)


def missing(what: str) -> NoReturn:
    """Skip the test with a reason. In CI, fail instead, because a skipped test would hide an error."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI runs these tests, so this is an error", pytrace=False)
    pytest.skip(what)


def tools_with(*programs: str) -> Tools:
    """Tools that can run these programs. Skips or fails (see `missing`) without one of them."""
    tools = Tools(cluster_environment())
    absent = [program for program in programs if not tools.has(program)]
    if absent:
        missing(f"{', '.join(absent)} not found: run `make cluster`, which brings the tools")
    return tools


def tools_with_cluster() -> Tools:
    """Tools for a cluster that answers. Skips or fails (see `missing`) without one."""
    tools = tools_with("kubectl", "helm")
    try:
        tools.kubectl("get", "--raw", "/readyz", timeout=20)
    except (CommandError, subprocess.TimeoutExpired) as error:
        missing(f"no cluster answers ({error}): run `make cluster`")
    return tools


def eventually(probe: Callable[[], T | None], what: str, within: float = PATIENCE_S, every: float = 0.3) -> T:
    """Wait for the first true answer of `probe`.

    Raises:
        TooLateError: `what` was not true after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TooLateError(f"not within {within:g} s: {what} (last answer: {answer!r})")
        time.sleep(every)


class Following:
    """A kubectl process that prints until it is ended, and a thread that reads its output."""

    def __init__(self, tools: Tools, command: tuple[str, ...], take: Callable[[Iterator[str]], None]) -> None:
        self._process = subprocess.Popen(
            ["kubectl", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=tools.environment
        )
        self._reader = threading.Thread(target=take, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def is_over(self) -> bool:
        """Whether kubectl has ended by itself and its output is read."""
        return not self._reader.is_alive()

    def end(self) -> None:
        """End the process, and wait until its output is read."""
        self._process.terminate()
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)
        if self._process.stdout:
            self._process.stdout.close()


@dataclass
class History:
    """Every version of one object in a watch, with its time of arrival in seconds.

    In contrast to polling, a watch misses no version.
    """

    tools: Tools
    arguments: tuple[str, ...]
    seen: list[tuple[float, Document]] = field(default_factory=list)

    def __enter__(self) -> History:
        self._watch = Following(self.tools, ("get", *self.arguments, "--watch", "-o", "json"), self._take)
        eventually(lambda: bool(self.seen), what=f"the first version of {' '.join(self.arguments)}")
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.end()

    def _take(self, printed: Iterator[str]) -> None:
        for document in whole_documents(printed):
            self.seen.append((time.time(), document))

    def documents(self) -> list[Document]:
        """The versions, oldest first."""
        return [document for _, document in list(self.seen)]


@dataclass
class Log:
    """Follows a pod's log inside the context, as the log of a deleted pod cannot be read."""

    tools: Tools
    arguments: tuple[str, ...]
    lines: list[str] = field(default_factory=list)

    def __enter__(self) -> Log:
        self._following = Following(self.tools, ("logs", "--follow", *self.arguments), self.lines.extend)
        return self

    def __exit__(self, *_: object) -> None:
        self._following.end()

    @property
    def is_over(self) -> bool:
        """Whether the pod has ended and its log is read."""
        return self._following.is_over

    def records(self) -> list[Document]:
        """The records among the lines, in order."""
        return [json.loads(line) for line in list(self.lines) if line.startswith('{"type":') and line.endswith("\n")]


def whole_documents(lines: Iterator[str]) -> Iterator[Document]:
    """The objects of a `kubectl get --watch -o json`: pretty-printed, each ended by a brace in the first column."""
    held: list[str] = []
    for line in lines:
        held.append(line)
        if line.rstrip("\n") == "}":
            yield json.loads("".join(held))
            held.clear()
