"""`make demo` without a terminal: its script, run twice, and its removal.

The demo installs an operator of its own, so its tests run before the other tests of this folder install theirs.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from kube import ROOT, Tools

pytestmark = [pytest.mark.e2e, pytest.mark.alone]


def script(tools: Tools, name: str) -> subprocess.CompletedProcess[str]:
    environment = {**tools.environment, "DEMO": "once"}
    return subprocess.run(
        [str(ROOT / "demo" / name)], capture_output=True, text=True, timeout=200, env=environment, check=False
    )


@pytest.fixture
def removed_afterwards(tools: Tools) -> Iterator[None]:
    yield
    script(tools, "down.sh")


@pytest.mark.usefixtures("removed_afterwards")
def test_demo_becomes_ready_runs_twice_and_is_removed(tools: Tools) -> None:
    # The second run restarts the simulated exchange under a running collector, which may report the gap.
    for gaps in (r"0", r"\d+"):
        shown = script(tools, "demo.sh")
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert re.search(r"Ready [0-9.]+ s after kubectl apply", shown.stdout), shown.stdout
        messages = [int(number.replace(",", "")) for number in re.findall(r"^([\d,]+) messages", shown.stdout, re.M)]
        assert len(messages) == 3
        assert messages == sorted(set(messages)), "the counters increase"
        ending = shown.stdout[shown.stdout.index("Conditions\n") :]
        assert len(ending.splitlines()) <= 25
        assert re.search(r"^  Ready +True ", ending, re.M)
        assert re.search(r"^  messages [1-9][\d,]*, records [1-9]", ending, re.M)
        assert re.search(rf"^  gaps: detected {gaps}, ", ending, re.M), ending
        assert "make demo-down" in ending
    assert tools.items("deployments", "-n", "market-demo")
    resources = tools.items("marketcollectors", "--all-namespaces")
    others = [resource for resource in resources if resource["metadata"]["namespace"] != "market-demo"]
    for _ in range(2):
        removed = script(tools, "down.sh")
        assert removed.returncode == 0, removed.stdout + removed.stderr
        namespaces = {namespace["metadata"]["name"] for namespace in tools.items("namespaces")}
        assert not namespaces & {"market-demo", "market-operator"}
        kept = "marketcollectors" in tools.kubectl("api-resources", "-o", "name")
        assert kept == bool(others), "the CRD is removed, unless another namespace has resources"


def test_demo_fails_with_the_reason_when_its_images_are_missing(tools: Tools) -> None:
    environment = {**tools.environment, "DEMO": "once", "READY_WITHIN": "8", "IMAGE_TAG": "never-built"}
    shown = subprocess.run(
        [str(ROOT / "demo" / "demo.sh")], capture_output=True, text=True, timeout=100, env=environment, check=False
    )
    script(tools, "down.sh")
    assert shown.returncode == 1
    assert "did not start within 8 s" in shown.stderr
    assert re.search("ErrImagePull|ImagePullBackOff", shown.stderr)
