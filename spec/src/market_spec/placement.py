"""Placement of the pods, with the field names and types of a pod's spec (core/v1 of Kubernetes 1.36).

The API server drops unknown fields and refuses wrong types. It checks the rest as part of the pods.
"""

from typing import Annotated

from market_spec.fields import DnsLabel, Labels, integer, up_to
from market_spec.kinds import Entries, Items, OneOf
from market_spec.section import Section

LabelKey = Annotated[str, up_to(317)]
"""A prefix of 253 characters, a slash and a name of 63."""
LabelKeys = Annotated[tuple[LabelKey, ...] | None, Items(0, 16, "atomic")]
Values = Annotated[tuple[Annotated[str, up_to(253)], ...] | None, Items(0, 64, "atomic")]
Weight = Annotated[int, integer(1, 100)]
_LABEL_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_VALUES_TEXT = "Values to compare with. Default none, as for Exists."


class Toleration(Section, frozen=True):
    """A taint that the pods tolerate."""

    key: Annotated[LabelKey | None, "Key of the taint. Default: any, with the operator Exists."] = None
    operator: Annotated[
        str | None, OneOf(("Equal", "Exists", "Gt", "Lt")), "How value is compared. Default: Equal."
    ] = None
    value: Annotated[str | None, up_to(63), "Value of the taint. Default: empty."] = None
    effect: Annotated[
        str | None, OneOf(("NoSchedule", "PreferNoSchedule", "NoExecute")), "Effect of the taint. Default: any."
    ] = None
    toleration_seconds: Annotated[
        int | None, integer(0, 2**31 - 1), "How long a pod stays after a taint NoExecute. Default: as long as it likes."
    ] = None


class LabelRequirement(Section, frozen=True, kw_only=True):
    """A condition on one label."""

    key: Annotated[LabelKey, "Key of the label. Required."]
    operator: Annotated[str, OneOf(_LABEL_OPERATORS), "How values are compared. Required."]
    values: Annotated[Values, _VALUES_TEXT] = None


class LabelSelector(Section, frozen=True):
    """Objects by their labels."""

    match_labels: Annotated[Labels | None, Entries(16), "Labels that an object must have. Default none."] = None
    match_expressions: Annotated[
        tuple[LabelRequirement, ...] | None, Items(0, 16, "atomic"), "Conditions that all must hold. Default none."
    ] = None


class NodeRequirement(Section, frozen=True, kw_only=True):
    """A condition on one label or field of a node."""

    key: Annotated[LabelKey, "Key of the label, or name of the field. Required."]
    operator: Annotated[str, OneOf((*_LABEL_OPERATORS, "Gt", "Lt")), "How values are compared. Required."]
    values: Annotated[Values, _VALUES_TEXT] = None


Requirements = Annotated[tuple[NodeRequirement, ...] | None, Items(0, 16, "atomic")]


class NodeTerm(Section, frozen=True):
    """Conditions on a node that all must hold."""

    match_expressions: Annotated[Requirements, "Conditions on labels. Default none."] = None
    match_fields: Annotated[Requirements, "Conditions on fields, such as metadata.name. Default none."] = None


class NodeSelector(Section, frozen=True, kw_only=True):
    """Nodes of which one term must hold."""

    node_selector_terms: Annotated[
        tuple[NodeTerm, ...], Items(1, 16, "atomic"), "Terms, of which one must hold. Required."
    ]


class PreferredNode(Section, frozen=True, kw_only=True):
    """A preference for nodes."""

    weight: Annotated[Weight, "Weight against other preferences, 1 to 100. Required."]
    preference: Annotated[NodeTerm, "The nodes. Required."]


class NodeAffinity(Section, frozen=True):
    """Nodes that the pods need or prefer."""

    required_during_scheduling_ignored_during_execution: Annotated[
        NodeSelector | None, "Nodes that a pod needs to start. Default none: any."
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNode, ...] | None, Items(0, 16, "atomic"), "Nodes that a pod prefers. Default none."
    ] = None


class PodTerm(Section, frozen=True, kw_only=True):
    """Other pods, in the same part of the cluster."""

    topology_key: Annotated[LabelKey, "Label of nodes whose value names the part, such as a zone. Required."]
    label_selector: Annotated[LabelSelector | None, "Labels of the pods. Default: no pod."] = None
    namespaces: Annotated[
        tuple[DnsLabel, ...] | None, Items(0, 16, "atomic"), "Namespaces of the pods. Default: the resource's."
    ] = None
    namespace_selector: Annotated[LabelSelector | None, "Labels of their namespaces. Default none."] = None
    match_label_keys: Annotated[LabelKeys, "Labels whose values must be a pod's own. Default none."] = None
    mismatch_label_keys: Annotated[LabelKeys, "Labels whose values must not be a pod's own. Default none."] = None


class PreferredPod(Section, frozen=True, kw_only=True):
    """A preference for, or against, other pods."""

    weight: Annotated[Weight, "Weight against other preferences, 1 to 100. Required."]
    pod_affinity_term: Annotated[PodTerm, "The other pods. Required."]


class PodAffinity(Section, frozen=True):
    """Pods that others need or prefer beside them, or elsewhere."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodTerm, ...] | None, Items(0, 16, "atomic"), "Needed to start. Default none."
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPod, ...] | None, Items(0, 16, "atomic"), "Preferred. Default none."
    ] = None


class Affinity(Section, frozen=True):
    """Preferred or required nodes and neighbours."""

    node_affinity: Annotated[NodeAffinity | None, "Nodes that the pods need or prefer. Default none."] = None
    pod_affinity: Annotated[PodAffinity | None, "Pods that they need or prefer beside them. Default none."] = None
    pod_anti_affinity: Annotated[PodAffinity | None, "Pods that they avoid. Default none."] = None


_POLICIES = ("Honor", "Ignore")


class SpreadConstraint(Section, frozen=True, kw_only=True):
    """A limit for uneven numbers of pods in parts of the cluster."""

    max_skew: Annotated[int, integer(1), "Most pods that a part may have more than another. Required."]
    topology_key: Annotated[LabelKey, "Label of nodes whose value names the part, such as a zone. Required."]
    when_unsatisfiable: Annotated[
        str, OneOf(("DoNotSchedule", "ScheduleAnyway")), "What happens to a pod that fits nowhere. Required."
    ]
    label_selector: Annotated[LabelSelector | None, "Labels of the pods that count. Default: no pod."] = None
    min_domains: Annotated[int | None, integer(1), "Least number of parts. Default 1."] = None
    node_affinity_policy: Annotated[
        str | None,
        OneOf(_POLICIES),
        "Whether only nodes count that a pod may run on. Default Honor.",
    ] = None
    node_taints_policy: Annotated[
        str | None, OneOf(_POLICIES), "Whether only nodes count whose taints it tolerates. Default Ignore."
    ] = None
    match_label_keys: Annotated[LabelKeys, "Labels whose values must be a pod's own. Default none."] = None
