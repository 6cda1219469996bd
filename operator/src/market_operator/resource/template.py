"""The fields of spec.template."""

from typing import Annotated

from pydantic import Field

from market_operator.resource.api import GROUP
from market_operator.resource.fields import DnsName, Quantity, Unchecked
from market_operator.resource.schema import Kube, Refused, Rule, Section
from market_operator.resource.volumes import Volume, VolumeMount


class LocalReference(Section):
    """The name of an object in the same namespace."""

    name: DnsName = Field(description="Name of the object, in the resource's namespace. Required.")


class EnvVar(Section):
    """An environment variable with a plain value; never put a secret here."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable. Required.",
    )
    value: str = Field(
        default="",
        max_length=4096,
        description="Its value, visible to everybody who can read the resource. Default: empty.",
    )


class Resources(Section):
    """Compute resources of the collector container."""

    limits: dict[str, Quantity] | None = Field(
        default=None,
        max_length=8,
        description="Most that the container may use. Default: memory 128Mi, no limit of CPU.",
    )
    requests: dict[str, Quantity] | None = Field(
        default=None, max_length=8, description="What the scheduler reserves. Default: cpu 20m, memory 48Mi."
    )


_OUR_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/component",
)


def _label_is_ours(key: str) -> bool:
    return key in _OUR_LABELS or key.startswith(f"{GROUP}/")


_RESTRICTED = "pods keep the restricted Pod Security Standard"
_ONE_CONTAINER = "a pod is one collector"


class Template(Section):
    """What may be said about the pods: nothing in it reaches the node, their privileges or another namespace."""

    rules = (
        Rule(
            f"!has(self.labels) || !self.labels.exists(key, key in {list(_OUR_LABELS)} || key.startsWith('{GROUP}/'))",
            f"the labels {', '.join(_OUR_LABELS)} and {GROUP}/* are the operator's own",
            lambda self: not any(_label_is_ours(key) for key in self.labels or {}),
            "labels",
        ),
        Rule(
            f"!has(self.annotations) || !self.annotations.exists(key, key.startsWith('{GROUP}/'))",
            f"annotations {GROUP}/* are the operator's own",
            lambda self: not any(key.startswith(f"{GROUP}/") for key in self.annotations or {}),
            "annotations",
        ),
        Rule(
            "!has(self.env) || !self.env.exists(e, e.name in ['POD_NAME', 'POD_UID'])",
            "POD_NAME and POD_UID are set by the operator",
            lambda self: not any(env.name in ("POD_NAME", "POD_UID") for env in self.env or ()),
            "env",
        ),
        Rule(
            "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
            "self.volumes.exists(v, v.name == m.name))",
            "every volumeMount must name a volume of template.volumes",
            lambda self: {m.name for m in self.volume_mounts or ()} <= {v.name for v in self.volumes or ()},
            "volumeMounts",
        ),
    )
    refused = (
        Refused("hostNetwork", _RESTRICTED, "boolean"),
        Refused("hostPID", _RESTRICTED, "boolean"),
        Refused("hostIPC", _RESTRICTED, "boolean"),
        Refused("securityContext", _RESTRICTED),
        Refused("automountServiceAccountToken", "collectors get no token of the cluster", "boolean"),
        Refused("containers", _ONE_CONTAINER, "array"),
        Refused("initContainers", _ONE_CONTAINER, "array"),
    )
    labels: dict[str, Annotated[str, Field(max_length=63)]] | None = Field(
        default=None,
        max_length=32,
        description="More labels for the pods, for cost reports or network policies. Default none.",
    )
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] | None = Field(
        default=None,
        max_length=32,
        description="More annotations for the pods, for example for a service mesh. Default none.",
    )
    resources: Resources | None = Field(
        default=None,
        description="Requests and limits of the container. Default: requests cpu 20m and memory 48Mi, "
        "limit memory 128Mi. "
        "Raise the memory for hundreds of order books.",
    )
    node_selector: dict[str, Annotated[str, Field(max_length=63)]] | None = Field(
        default=None, max_length=16, description="Labels that a node must have. Default none: any node."
    )
    tolerations: Annotated[tuple[Unchecked, ...], Kube(list_type="atomic")] | None = Field(
        default=None, max_length=16, description="Taints that the pods tolerate, as in a pod's spec. Default none."
    )
    affinity: Unchecked | None = Field(
        default=None, description="Preferred or required nodes and neighbours, as in a pod's spec. Default none."
    )
    topology_spread_constraints: Annotated[tuple[Unchecked, ...], Kube(list_type="atomic")] | None = Field(
        default=None,
        max_length=8,
        description="How the pods spread over zones or nodes, as in a pod's spec. Default: with several replicas, "
        "over nodes where that is possible. Set it to spread over zones, or to insist.",
    )
    priority_class_name: DnsName | None = Field(
        default=None, description="Priority class of the pods. Default none: the cluster's default priority."
    )
    service_account_name: DnsName | None = Field(
        default=None,
        description="Service account of the pods, for policies that look at it; its token is never "
        "mounted. Default: the namespace's default.",
    )
    image_pull_secrets: Annotated[tuple[LocalReference, ...], Kube(list_type="map", list_map_keys=["name"])] | None = (
        Field(
            default=None,
            max_length=8,
            description="Secrets with registry credentials, used by the node to pull the image. Default none.",
        )
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        pattern=r"^[^\s]+$",
        description="Collector image. Default: the operator's own setting, so that all collectors are "
        "upgraded together. Set it to pin one.",
    )
    env: Annotated[tuple[EnvVar, ...], Kube(list_type="map", list_map_keys=["name"])] | None = Field(
        default=None,
        max_length=32,
        description="Environment variables with plain values, for example for a proxy. Default none.",
    )
    volumes: Annotated[tuple[Volume, ...], Kube(list_type="map", list_map_keys=["name"])] | None = Field(
        default=None,
        max_length=16,
        description="More volumes of the pods, at most 16: ConfigMaps, Secrets, claims of the namespace and empty "
        "directories, as in a pod's spec. Default none. Records need none: a sink brings its own.",
    )
    volume_mounts: Annotated[tuple[VolumeMount, ...], Kube(list_type="map", list_map_keys=["mountPath"])] | None = (
        Field(
            default=None,
            max_length=16,
            description="Where the volumes stand in the collector's container, at most 16. Default none. For a CA "
            "bundle of your own mount it at /tls and set SSL_CERT_FILE in env.",
        )
    )
