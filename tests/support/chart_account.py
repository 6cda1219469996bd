"""The chart's service account of the operator, with its rights and limits, and settings of a process that uses it.

Rules, arguments and environment come from the output of `helm template` and not from a copy in the tests. So a right
that the chart lacks is missing in the tests as well.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from admission_policies import API_VERSIONS, KINDS
from kube import CHART

Document = dict[str, Any]
RELEASE = "market-operator"
_RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", *KINDS)
# Options that a test sets itself, such as the address and the access to play-pods.
_OWN = ("--http", "--health-via", "--counter-interval", "--sweep-interval", "--log-format")
# Words with which we or kopf log a refusal.
_REFUSED = ("forbidden", "not enough permissions", "unauthorized")


@dataclass(frozen=True)
class Account:
    """The created objects, and the arguments and environment of a process like the chart's operator."""

    objects: tuple[Document, ...]
    arguments: tuple[str, ...]
    environment: dict[str, str]

    def remove(self) -> None:
        """Delete the objects that do not belong to a namespace."""
        for each in self.objects:
            if "namespace" not in each["metadata"]:
                name = f"{each['kind'].lower()}/{each['metadata']['name']}"
                _run("kubectl", "delete", name, "--ignore-not-found", "--wait=false")


def chart_account(namespace: str, directory: Path, *settings: str) -> Account:
    """Installs the rights of a release in `namespace`; `settings` are values as JSON, `directory` takes the KUBECONFIG."""
    flags = [flag for setting in settings for flag in ("--set-json", setting)]
    command = ("helm", "template", RELEASE, str(CHART), "--namespace", namespace, *API_VERSIONS)
    rendered = yaml.safe_load_all(_run(*command, *flags))
    documents = [document for document in rendered if document]
    [deployment] = [each for each in documents if each["kind"] == "Deployment"]
    objects = tuple(each for each in documents if each["kind"] in _RIGHTS)
    _run("kubectl", "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    return Account(
        objects=objects,
        arguments=tuple(arg for arg in container["args"][1:] if arg.partition("=")[0] not in _OWN),
        environment={
            **{each["name"]: _value(each, namespace) for each in container.get("env", ())},
            "KUBECONFIG": _kubeconfig(namespace, pod["serviceAccountName"], directory),
        },
    )


def _value(variable: Document, namespace: str) -> str:
    """The value of an environment variable as set by a kubelet."""
    field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
    known = {"metadata.namespace": namespace, "metadata.name": f"{RELEASE}-0"}
    return known[field] if field else str(variable.get("value", ""))


def _kubeconfig(namespace: str, account: str, directory: Path) -> str:
    config = json.loads(_run("kubectl", "config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": _run("kubectl", "create", "token", account, "-n", namespace).strip()}
    file = directory / f"kubeconfig-{namespace}"
    file.write_text(json.dumps(config))
    return str(file)


def refusals(log: str) -> list[str]:
    """The lines of the operator's log about a missing right."""
    return [line for line in log.splitlines() if any(word in line.lower() for word in _REFUSED)]


def _run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
