"""The chart, installed once with the images of this working copy, and a namespace with a simulator for each test.

All workers of a run use the same release. Tests that stop or replace it are marked `alone`. They may leave it to the
run of the others (`hack/test.sh`), which need not wait then until it is removed and installed again.

Two operators would write the same managed objects, so no other may run. That of `make demo` is removed, because the
tests of the demo create and remove it anyway. With any other operator the tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e_operator import IMAGES, OF_OPERATOR, InstallError, Operator
from e2e_places import LABEL, PREFIX, Place, Places
from kube import ROOT, CommandError, Tools, missing, tools_with_cluster
from shared_session import Shared

RELEASE_STAYS = os.environ.get("E2E_RELEASE") == "stays"
RELEASE_IS_INSTALLED = os.environ.get("E2E_RELEASE") == "installed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the demo first: its removal deletes the CRD that the release of all other tests needs."""
    folder = Path(__file__).parent
    items.sort(key=lambda item: item.path.parent == folder and item.path.name != "test_demo.py")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Shared]:
    """A set-up by name that all workers share."""
    own = tmp_path_factory.getbasetemp()
    folder = own if worker_id == "master" else own.parent
    return lambda name: Shared(folder, name, worker_id)


@pytest.fixture(scope="session")
def tools(shared: Callable[[str], Shared]) -> Iterator[Tools]:
    found = tools_with_cluster()
    with shared("cluster").join() as first:
        if first and not RELEASE_IS_INSTALLED:
            clear(found)
    yield found
    if "proxy" in vars(found):  # it was used
        found.proxy.end()


def clear(tools: Tools) -> None:
    remove_leftovers(tools)
    others = tools.items("deployments", "--all-namespaces", "-l", OF_OPERATOR)
    if others:
        where = ", ".join(other["metadata"]["namespace"] for other in others)
        missing(f"another market-operator runs in {where}")


def remove_leftovers(tools: Tools) -> None:
    """Removes the leftovers of a killed session, and the demo."""
    subprocess.run([ROOT / "demo" / "down.sh"], check=True, capture_output=True, timeout=300, env=tools.environment)
    labels = ",".join(f"{key}={value}" for key, value in LABEL.items())
    tools.helm("uninstall", "market-operator", "--namespace", PREFIX, "--ignore-not-found", "--wait")
    tools.kubectl("delete", "namespace", "-l", labels, "--ignore-not-found", "--wait=true")
    tools.kubectl("delete", "namespace", PREFIX, "--ignore-not-found", "--wait=true")
    tools.kubectl("delete", "persistentvolume,priorityclass", "-l", labels, "--ignore-not-found")


@pytest.fixture(scope="session")
def operator(tools: Tools, shared: Callable[[str], Shared]) -> Iterator[Operator]:
    operator = Operator(tools, PREFIX, IMAGES)
    release = shared("release")
    with release.join() as first:
        if first:
            try:
                operator.install()
            except InstallError as error:
                missing(f"the chart does not start ({error}): run `make images`")
    yield operator
    with release.leave() as last:
        refusals = operator.refusals()
        if last and not RELEASE_STAYS:
            operator.uninstall()
    assert not refusals, "the chart's role lacks a right that the operator uses:\n" + "\n".join(refusals[:10])


@pytest.fixture(scope="session")
def places(tools: Tools) -> Iterator[Places]:
    places = Places(tools)
    yield places
    places.close()


@pytest.fixture
def place(operator: Operator, places: Places) -> Iterator[Place]:
    place = places.take()
    yield place
    place.tools.delete_namespaces(place.namespace)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds the state of the cluster to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined] # pluggy gives the generator a Result
    arguments = getattr(item, "funcargs", {})
    if report.when != "call" or not report.failed or "place" not in arguments:
        return
    report.sections.append(("state of the namespace", arguments["place"].report()))
    report.sections.append(("log of the operator", last_lines(arguments["operator"])))


def last_lines(operator: Operator) -> str:
    try:
        return "\n".join(operator.log().splitlines()[-40:])
    except CommandError as error:
        return error.stderr
