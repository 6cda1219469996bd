"""The kinds of objects that the operator reads and writes, and where the API server has them."""

from dataclasses import dataclass

from market_spec.api import GROUP, KIND, PLURAL, VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind; `group` is empty for the core group."""

    name: str
    group: str
    version: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Path of one object, of a namespace's objects, or of all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


COLLECTORS = Kind(KIND, GROUP, VERSION, PLURAL)
DEPLOYMENTS = Kind("Deployment", "apps", "v1", "deployments")
SERVICES = Kind("Service", "", "v1", "services")
CONFIGMAPS = Kind("ConfigMap", "", "v1", "configmaps")
DISRUPTION_BUDGETS = Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets")
NETWORK_POLICIES = Kind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies")
PODS = Kind("Pod", "", "v1", "pods")
EVENTS = Kind("Event", "events.k8s.io", "v1", "events")
LEASES = Kind("Lease", "coordination.k8s.io", "v1", "leases")
CHILDREN = {kind.name: kind for kind in (DEPLOYMENTS, SERVICES, CONFIGMAPS, DISRUPTION_BUDGETS, NETWORK_POLICIES)}
"""What the operator makes, by the name of the kind."""
