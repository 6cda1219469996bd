"""From a resource to all the objects that shall exist for it. Pure."""

import itertools

from market_operator.manifests.configmap import configmap
from market_operator.manifests.deployment import deployment
from market_operator.manifests.networkpolicy import NetworkRules, networkpolicy
from market_operator.manifests.poddisruptionbudget import poddisruptionbudget
from market_operator.manifests.service import service
from market_operator.manifests.shard import Shard, digest
from market_operator.manifests.sharding import spread
from market_operator.manifests.wanted import DesiredState
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import APPLIED_ANNOTATION, TEMPLATE_ANNOTATION
from market_operator.resource.spec import read_spec
from market_spec.spec import Spec


def desired(resource: Resource, image: str, traffic: NetworkRules | None = None) -> DesiredState:
    """Everything that shall exist for `resource`; `image` is the operator's choice of collector image, `traffic` what
    a NetworkPolicy shall let through (None: no policy).

    Raises:
        SpecError: when the resource cannot be served as it is.
    """
    spec = read_spec(resource)
    shards = [
        Shard(resource, spec, number, symbols, image)
        for number, symbols in enumerate(spread(spec.all_symbols, spec.shards))
    ]
    families = [_family(shard) for shard in shards]
    return DesiredState(
        spec=spec,
        children=tuple(map(_marked, [*_policies(resource, spec, traffic), *itertools.chain(*families)])),
        templates=tuple(_template_hash(family[-1]) for family in families),
        image=spec.template.image or image,
    )


def _policies(resource: Resource, spec: Spec, traffic: NetworkRules | None) -> list[Document]:
    """First of all children, so that no pod ever runs without it."""
    return [] if traffic is None else [networkpolicy(resource, spec, traffic)]


def _family(shard: Shard) -> list[Document]:
    """The Deployment comes last: its pods need the ConfigMap."""
    config = configmap(shard)
    budgets = [poddisruptionbudget(shard)] if shard.spec.replicas > 1 else []
    return [config, service(shard), *budgets, deployment(shard, config["metadata"]["name"])]


def _marked(child: Document) -> Document:
    """`child` with the hash of what we want, by which a change of our wishes is seen without a comparison."""
    annotations = {**child["metadata"]["annotations"], APPLIED_ANNOTATION: digest(child)}
    return {**child, "metadata": {**child["metadata"], "annotations": annotations}}


def _template_hash(deployment_: Document) -> str:
    return str(deployment_["spec"]["template"]["metadata"]["annotations"][TEMPLATE_ANNOTATION])
