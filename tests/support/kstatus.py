"""The status that kstatus (Flux, `helm --wait`) computes for a resource.

Source: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md

* deletionTimestamp → Terminating
* observedGeneration differs from the generation → InProgress
* Reconciling True → InProgress
* Stalled True → Failed
* Ready True → Current, any other Ready → InProgress
* none of these → Current
"""

from typing import Any


def kstatus(resource: dict[str, Any]) -> str:
    """Terminating, InProgress, Failed or Current."""
    meta, status = resource["metadata"], resource.get("status", {})
    found = {each["type"]: each["status"] for each in status.get("conditions", ())}
    if "deletionTimestamp" in meta:
        return "Terminating"
    if status.get("observedGeneration", meta["generation"]) != meta["generation"]:
        return "InProgress"
    if found.get("Reconciling") == "True":
        return "InProgress"
    if found.get("Stalled") == "True":
        return "Failed"
    return "Current" if found.get("Ready", "True") == "True" else "InProgress"
