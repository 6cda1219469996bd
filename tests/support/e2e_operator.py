"""The operator as a release of the chart, for end-to-end tests: installed, paused, killed, and its log kept."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from kube import CHART, CommandError, Document, Tools, eventually, restricted_namespace

RELEASE = "market-operator"
REPLICAS = 2
IMAGES = {
    part: os.environ.get(f"{part.upper()}_IMAGE", f"localhost/market-{part}:dev") for part in ("operator", "collector")
}
"""Those of this working copy, unless the environment names others."""
OF_OPERATOR = "app.kubernetes.io/name=market-operator"
# A terminating namespace also refuses new objects with 403, which is not about rights.
NO_RIGHT = re.compile(r"^(?!.*because it is being terminated).*(\b403\b|forbidden)", re.IGNORECASE)


class InstallError(Exception):
    """The chart did not become ready. The message has the state of its pods."""


@dataclass
class Operator:
    """One release of the chart in its own namespace. `logs` has the logs of its ended pods."""

    tools: Tools
    namespace: str
    images: dict[str, str]
    logs: list[str] = field(default_factory=list)

    def install(self, *settings: str) -> None:
        """Install or change the release, and wait for it.

        Raises:
            InstallError: It did not become ready.
        """
        self.tools.apply(restricted_namespace(self.namespace))
        values = (*self._image_values(), "counterInterval=1s", *settings)
        flags = [flag for value in values for flag in ("--set", value)]
        where = ("--namespace", self.namespace, "--take-ownership", "--force-conflicts")
        try:
            self.tools.helm(
                "upgrade", "--install", RELEASE, str(CHART), *where, *flags, "--wait", "--timeout=90s", timeout=150
            )
        except CommandError as error:
            raise InstallError(f"{error.stderr.strip()}; its pods: {self._why_not()}") from error
        self._wait_available()

    def _image_values(self) -> tuple[str, ...]:
        names = (("image", self.images["operator"]), ("collectorImage", self.images["collector"]))
        parts = [(value, *name.rsplit(":", 1)) for value, name in names]
        return tuple(f"{v}.repository={repository},{v}.tag={tag}" for v, repository, tag in parts)

    def _why_not(self) -> str:
        waiting = "{.items[*].status.containerStatuses[*].state.waiting}"
        return self.tools.kubectl("-n", self.namespace, "get", "pods", "-o", f"jsonpath={waiting}") or "none waits"

    def uninstall(self) -> None:
        """Remove the release and its namespace. The CRD stays, as documented for the chart."""
        where = ("--namespace", self.namespace)
        self.tools.helm("uninstall", RELEASE, *where, "--ignore-not-found", "--wait", "--timeout=60s")
        self.tools.delete_namespaces(self.namespace)

    def pods(self) -> list[Document]:
        return self.tools.items("-n", self.namespace, "pods", "-l", OF_OPERATOR)

    def leader(self) -> str:
        """The name of the leader's pod, or an empty string."""
        holder = self.tools.items("-n", self.namespace, "leases")[0]["spec"].get("holderIdentity", "")
        return str(holder).partition("_")[0]

    def kill(self) -> None:
        """Kill the leader without a grace period, and wait for another leader and the pod's successor."""
        before = self.leader()
        self.keep_log()
        self.tools.kubectl("-n", self.namespace, "delete", "pod", before, "--grace-period=0", "--force")
        eventually(lambda: self.leader() not in ("", before), what="another operator leads")
        self._wait_available()

    def pause(self) -> None:
        """Scale the operator to 0, and wait until none of its pods is left."""
        self.keep_log()
        self._scale(0)
        eventually(lambda: not self.pods(), what="the operator's pod is gone")

    def resume(self) -> None:
        self._scale(REPLICAS)
        self._wait_available()

    def _scale(self, replicas: int) -> None:
        self.tools.kubectl("-n", self.namespace, "scale", "deployment", RELEASE, f"--replicas={replicas}")

    def _wait_available(self) -> None:
        """Wait until all replicas are ready and the previous ones, which may have lost their rights, are gone."""
        self.tools.kubectl("-n", self.namespace, "rollout", "status", f"deployment/{RELEASE}", "--timeout=60s")
        eventually(lambda: len(self.pods()) == REPLICAS, what="only the current replicas are left")

    def keep_log(self) -> None:
        """Save the log of the current pods before they end."""
        self.logs.append(self.log())

    def log(self) -> str:
        """The log of the current pods."""
        return self.tools.kubectl("-n", self.namespace, "logs", "-l", OF_OPERATOR, "--tail=-1", "--ignore-errors")

    def refusals(self) -> list[str]:
        """All log lines of the session in which the API server denied the operator a right."""
        return [line for log in (*self.logs, self.log()) for line in log.splitlines() if NO_RIGHT.search(line)]
