"""The fields of spec.template."""

from collections.abc import Iterator
from typing import Annotated, Any

from market_spec.api import GROUP
from market_spec.environment import EnvVar
from market_spec.fields import Amount, DnsName, Labels, Unstructured, up_to
from market_spec.kinds import Entries, Items, OneOf
from market_spec.messages import shown
from market_spec.placement import Affinity, SpreadConstraint, Toleration
from market_spec.section import Refused, Rule, Section, Violation
from market_spec.volumes import Volume, VolumeMount


class LocalReference(Section, frozen=True):
    """The name of an object in the same namespace."""

    name: Annotated[DnsName, "Name of the object, in the resource's namespace. Required."]


class Resources(Section, frozen=True):
    """Compute resources of the collector container."""

    limits: Annotated[
        dict[str, Amount] | None,
        Entries(8),
        "Most that the container may use. Default: memory 128Mi, and 16Mi for every 256 streams above the first 256. "
        "CPU is not limited. {} means no limits.",
    ] = None
    requests: Annotated[
        dict[str, Amount] | None,
        Entries(8),
        "Amounts that the scheduler reserves. Default: cpu 20m, memory 48Mi and 8Mi for every 256 streams above the "
        "first 256. {} means no requests.",
    ] = None


OPERATOR_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/component",
)
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
OPERATOR_ENV = ("POD_NAME", "POD_UID")


def is_operator_label(key: str) -> bool:
    """Whether only the operator sets the label."""
    return key in OPERATOR_LABELS or key.startswith(f"{GROUP}/")


def labels_rule(field: str, attribute: str) -> Rule:
    """The rule that a field with labels has none of the operator's own."""

    def violations(section: Any) -> Iterator[Violation]:
        return (Violation((field, key)) for key in getattr(section, attribute) or {} if is_operator_label(key))

    return Rule(
        f"!has(self.{field}) || !self.{field}.exists(key, key in {[*OPERATOR_LABELS]} || key.startsWith('{GROUP}/'))",
        f"the labels {', '.join(OPERATOR_LABELS)} and {GROUP}/* are the operator's own",
        violations,
        field,
    )


def _operator_annotations(template: "Template") -> Iterator[Violation]:
    for key in template.annotations or {}:
        if key.startswith(f"{GROUP}/"):
            yield Violation(("annotations", key))


_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
"""Annotations that switch a container's AppArmor profile off."""


def _apparmor_annotations(template: "Template") -> Iterator[Violation]:
    for key in template.annotations or {}:
        if key.startswith(_APPARMOR):
            yield Violation(("annotations", key))


def _operator_env(template: "Template") -> Iterator[Violation]:
    for number, env in enumerate(template.env or ()):
        if env.name in OPERATOR_ENV:
            yield Violation(("env", number, "name"), shown(env.name))


def _unknown_volumes(template: "Template") -> Iterator[Violation]:
    names = [volume.name for volume in template.volumes or ()]
    for number, mount in enumerate(template.volume_mounts or ()):
        if mount.name not in names:
            volumes = f"volumes: {', '.join(names)}" if names else "there is no volume"
            yield Violation(("volumeMounts", number, "name"), f"{shown(mount.name)}; {volumes}")


_RESTRICTED = "pods keep the restricted Pod Security Standard"
_ONE_CONTAINER = "a pod is one collector"


class Template(Section, frozen=True):
    """Additions to the pods. No volume of the host, no privilege and no API token is among them."""

    rules = (
        labels_rule("labels", "labels"),
        Rule(
            f"!has(self.annotations) || !self.annotations.exists(key, key.startsWith('{GROUP}/'))",
            f"annotations {GROUP}/* are the operator's own",
            _operator_annotations,
            "annotations",
        ),
        Rule(
            f"!has(self.annotations) || !self.annotations.exists(key, key.startsWith('{_APPARMOR}'))",
            f"annotations {_APPARMOR}* are refused: {_RESTRICTED}",
            _apparmor_annotations,
            "annotations",
        ),
        Rule(
            f"!has(self.env) || !self.env.exists(e, e.name in {[*OPERATOR_ENV]})",
            "POD_NAME and POD_UID are set by the operator",
            _operator_env,
            "env",
        ),
        Rule(
            "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
            "self.volumes.exists(v, v.name == m.name))",
            "every volumeMount must name a volume of template.volumes",
            _unknown_volumes,
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
    labels: Annotated[
        Labels | None,
        Entries(32),
        "Labels of the pods, for cost reports or network policies. Default none. commonLabels reach all managed "
        "objects.",
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, up_to(4096)]] | None,
        Entries(32),
        "Annotations of the pods, for example for a service mesh. Default none.",
    ] = None
    resources: Annotated[
        Resources | None,
        "Requests and limits of the container. The default memory grows with the streams of a shard, and follows the "
        "other amount where only that is given.",
    ] = None
    node_selector: Annotated[
        Labels | None,
        Entries(16),
        "Labels that a node must have. Default none: any node.",
    ] = None
    tolerations: Annotated[
        tuple[Toleration, ...] | None,
        Items(0, 16, "atomic"),
        "Tolerated taints, as in a pod's spec. Default none.",
    ] = None
    affinity: Annotated[
        Affinity | None, "Preferred or required nodes and neighbours, as in a pod's spec. Default none."
    ] = None
    topology_spread_constraints: Annotated[
        tuple[SpreadConstraint, ...] | None,
        Items(0, 8, "atomic"),
        "How the pods spread over zones or nodes, as in a pod's spec. Default: several replicas spread over nodes "
        "where possible. Set it to spread over zones, or to make the spread mandatory.",
    ] = None
    priority_class_name: Annotated[
        DnsName | None, "Priority class of the pods. Default: the cluster's default priority."
    ] = None
    service_account_name: Annotated[
        DnsName | None,
        "Service account of the pods, for policies that check it. Its token is never mounted. "
        "Default: the namespace's default.",
    ] = None
    image_pull_secrets: Annotated[
        tuple[LocalReference, ...] | None,
        Items(0, 8, "map", "name"),
        "Secrets with registry credentials, which the node uses to pull the image. Default: the operator's own "
        "setting, which is none unless the installer gives some.",
    ] = None
    image_pull_policy: Annotated[
        str | None,
        OneOf(PULL_POLICIES),
        "When the node pulls the image. Default: the operator's own setting, which is IfNotPresent unless the "
        "installer changes it.",
    ] = None
    image: Annotated[
        str | None,
        up_to(512, at_least=1, pattern=r"^[^\s]+$", form="1 to 512 characters without white space"),
        "Collector image. Default: the operator's own setting, so that all collectors are upgraded together. Set it to "
        "pin one.",
    ] = None
    env: Annotated[
        tuple[EnvVar, ...] | None,
        Items(0, 32, "map", "name"),
        "Environment variables, for example for a proxy. Default none.",
    ] = None
    dns_config: Annotated[
        Unstructured | None,
        "Name servers, search domains and options besides those of the cluster, as in a pod's spec. Default none.",
    ] = None
    host_aliases: Annotated[
        tuple[Unstructured, ...] | None,
        Items(0, 16, "atomic"),
        "Entries of /etc/hosts, as in a pod's spec. Default none.",
    ] = None
    runtime_class_name: Annotated[
        DnsName | None, "Runtime class of the pods, such as gvisor. Default none: the node's own runtime."
    ] = None
    volumes: Annotated[
        tuple[Volume, ...] | None,
        Items(0, 16, "map", "name"),
        "More volumes of the pods, at most 16, as in a pod's spec. Allowed: ConfigMaps, Secrets and claims "
        "of the namespace, and empty directories. Default none. Sinks bring their own volumes for records.",
    ] = None
    volume_mounts: Annotated[
        tuple[VolumeMount, ...] | None,
        Items(0, 16, "map", "mountPath"),
        "Where the volumes are mounted in the collector's container, at most 16. Default none. For a CA bundle of "
        "your own, mount it at /tls and set SSL_CERT_FILE in env.",
    ] = None
