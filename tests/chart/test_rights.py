"""docs/security.md lists every right of the operator with its reason, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from kube import ROOT, Document

pytestmark = pytest.mark.cluster  # helm is one of the cluster's tools
PAGE = (ROOT / "docs" / "security.md").read_text()
Right = tuple[str, str]
"""Object and verb, such as ``("deployments.apps", "list")``. An object with ``/*`` is only the one with the release's name."""


def documented() -> dict[str, tuple[set[str], str]]:
    """Verbs and reason by object, from the table of the page."""
    table = PAGE.split("## Rights of the operator")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert len({name for name, _, _ in rows}) == len(rows) > 5
    return {name: ({*verbs.split(", ")}, reason) for name, verbs, reason in rows}


def rights(role: Document, release: str) -> Iterator[Right]:
    for rule in role["rules"]:
        assert rule.get("resourceNames", [release]) == [release]
        for group in rule["apiGroups"]:
            for name in rule["resources"]:
                kind, _, part = name.partition("/")
                named = f"{kind}.{group}".rstrip(".") if not part else f"{kind}/{part}.{group}"
                yield from ((named + "/*" * ("resourceNames" in rule), verb) for verb in rule["verbs"])


def roles_of_the_operator(documents: list[Document]) -> list[Document]:
    """The roles that a binding gives to the operator's account."""
    bindings = [each for each in documents if each["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    assert all(len(each["subjects"]) == 1 for each in bindings)
    bound = {(each["roleRef"]["kind"], each["roleRef"]["name"]) for each in bindings}
    return [each for each in documents if (each["kind"], each["metadata"]["name"]) in bound]


@pytest.mark.parametrize("settings", [(), ('namespaces=["a","b"]',)], ids=["cluster", "two namespaces"])
def test_page_lists_every_right_and_no_other(render: Any, settings: tuple[str, ...]) -> None:
    roles = roles_of_the_operator(render(*settings))
    assert {role["kind"] for role in roles} == ({"Role"} if settings else {"ClusterRole", "Role"})
    granted = {right for role in roles for right in rights(role, "market-operator")}
    assert granted == {(name, verb) for name, (verbs, _) in documented().items() for verb in verbs}


def test_page_gives_a_reason_for_every_right() -> None:
    assert all(len(reason.split()) > 2 for _, reason in documented().values())


def test_operator_has_no_right_that_the_page_excludes(render: Any) -> None:
    granted = {
        name.partition(".")[0]
        for role in roles_of_the_operator(render())
        for name, _ in rights(role, "market-operator")
    }
    excluded = {"secrets", "serviceaccounts", "roles", "clusterroles", "nodes", "pods/exec", "pods/log", "tokenreviews"}
    assert not granted & (excluded | {"*"})


def test_user_roles_give_no_write_of_a_status(render: Any) -> None:
    roles = [each for each in render() if each["kind"] == "ClusterRole" and "view" in str(each["metadata"]["labels"])]
    roles += [each for each in render() if each["metadata"]["name"].endswith("-edit")]
    writes = {(name, verb) for role in roles for name, verb in rights(role, "") if verb not in ("get", "list", "watch")}
    assert writes
    assert "marketcollectors/status.marketcollector.dev" not in {name for name, _ in writes}
