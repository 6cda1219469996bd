"""The health check for Argo CD in docs/operations.md, run by Lua 5.1 as in Argo CD."""

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from lupa.lua51 import LuaRuntime

from kstatus import kstatus
from market_operator.resource.status import PENDING

Health = Callable[[dict[str, Any]], tuple[str, str]]
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
HEALTH_BY_KSTATUS = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}


@pytest.fixture
def health() -> Health:
    """The status and the message of the check for a resource."""
    [code] = re.findall(r"^```lua\n(.*?)^```", OPERATIONS.read_text(), re.DOTALL | re.MULTILINE)
    lua = LuaRuntime()

    def judge(resource: dict[str, Any]) -> tuple[str, str]:
        lua.globals().obj = lua.table_from(resource, recursive=True)
        found = lua.execute(code)
        return found.status, found.message

    return judge


def resource(observed: int = 2, **conditions: str) -> dict[str, Any]:
    """A resource of generation 2 with conditions such as Ready="True"."""
    found = [{"type": kind, "status": s, "reason": "Any", "message": kind.lower()} for kind, s in conditions.items()]
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": found}}


def test_argocd_check_agrees_with_kstatus(health: Health) -> None:
    """So Argo CD, Flux and `helm --wait` wait for the same. Argo CD ends a sync at the first Degraded."""
    values = ("True", "False", "Unknown")
    for observed, ready, reconciling, stalled in product((1, 2), values, values, values):
        document = resource(observed, Ready=ready, Reconciling=reconciling, Stalled=stalled)
        assert health(document)[0] == HEALTH_BY_KSTATUS[kstatus(document)], document


def test_argocd_check_shows_the_message_that_decides(health: Health) -> None:
    assert health(resource(Ready="True", Stalled="True")) == ("Degraded", "stalled")
    assert health(resource(Ready="False")) == ("Progressing", "ready")
    assert health(resource(Ready="True")) == ("Healthy", "ready")


def test_argocd_check_knows_suspended_resources(health: Health) -> None:
    document = resource(Ready="True")
    document["status"]["conditions"][0]["reason"] = "Suspended"
    assert health(document) == ("Suspended", "ready")


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"observedGeneration": 2}}, {"status": PENDING}])
def test_argocd_check_waits_for_a_status(health: Health, status: dict[str, Any]) -> None:
    assert health({"metadata": {"generation": 2}, **status})[0] == "Progressing"
