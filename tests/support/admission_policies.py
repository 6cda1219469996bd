"""ValidatingAdmissionPolicies of the chart at the API server."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import yaml

from kube import CHART

API = "admissionregistration.k8s.io/v1"
KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
Document = dict[str, Any]


class Policies:
    """The policies of several releases, which a test removes."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._installed: list[Document] = []

    def install(self, suffix: str, namespace: str, *settings: str) -> None:
        """Install the policy whose name ends with `suffix`; `settings` are values as JSON."""
        flags = [flag for setting in settings for flag in ("--set-json", setting)]
        command = ["helm", "template", "market-operator", str(CHART), "--namespace", namespace, *flags]
        rendered = subprocess.run([*command, *API_VERSIONS], capture_output=True, text=True, check=True).stdout
        objects = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] in KINDS]
        objects = [each for each in objects if each["metadata"]["name"].endswith(f"-{suffix}")]
        assert len(objects) == len(KINDS)
        self._installed += objects
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        subprocess.run(["kubectl", "apply", "-f", "-"], input=document, text=True, check=True, capture_output=True)

    def expect_no_warnings(self, eventually: Callable[..., None]) -> None:
        """Wait until the API server has checked the types of all expressions, and found no mistake."""
        for each in self._installed:
            if each["kind"] == KINDS[0]:
                eventually(lambda name=each["metadata"]["name"]: expect_no_warnings(self._api, name))

    def remove(self) -> None:
        """Delete the objects."""
        for each in self._installed:
            name = f"{each['kind'].lower()}/{each['metadata']['name']}"
            subprocess.run(["kubectl", "delete", name, "--ignore-not-found"], check=True, capture_output=True)


API_VERSIONS = ("--api-versions", f"{API}/ValidatingAdmissionPolicy")
"""Options of `helm template` for a cluster that has the policies."""


def expect_no_warnings(api: Any, name: str) -> None:
    """Assert that the API server has checked the types in a policy's expressions, and found no mistake."""
    policy = api.call("GET", f"apis/{API}/validatingadmissionpolicies/{name}")
    status = policy.get("status", {})
    assert status.get("observedGeneration") == policy["metadata"]["generation"]
    assert not status.get("typeChecking", {}).get("expressionWarnings"), status
