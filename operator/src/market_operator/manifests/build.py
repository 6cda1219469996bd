"""Builds the desired state of a resource: all of its managed objects. Pure."""

import itertools

from market_operator.manifests.configmap import configmap
from market_operator.manifests.deployment import deployment
from market_operator.manifests.desired_state import DesiredState
from market_operator.manifests.networkpolicy import NetworkRules, networkpolicy
from market_operator.manifests.poddisruptionbudget import poddisruptionbudget
from market_operator.manifests.service import service
from market_operator.manifests.shard import ORDINARY, PodSettings, Shard, digest
from market_operator.manifests.sharding import spread
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import APPLIED_ANNOTATION, TEMPLATE_ANNOTATION
from market_operator.resource.spec import read_spec
from market_spec.spec import Spec


def build_desired_state(
    resource: Resource, image: str, rules: NetworkRules | None = None, settings: PodSettings = ORDINARY
) -> DesiredState:
    """All managed objects of `resource`.

    `image` is the default collector image. `rules` become the NetworkPolicy (None: no policy).

    Raises:
        SpecError: if the spec is invalid.
    """
    spec = read_spec(resource)
    shards = [
        Shard(resource, spec, number, symbols, image, settings)
        for number, symbols in enumerate(spread(spec.all_symbols, spec.shards))
    ]
    objects_by_shard = [_shard_objects(shard) for shard in shards]
    children = [*_policies(resource, spec, rules, settings), *itertools.chain(*objects_by_shard)]
    return DesiredState(
        spec=spec,
        children=tuple(map(with_hash, children)),
        templates=tuple(_template_hash(objects[-1]) for objects in objects_by_shard),
        symbols=tuple(shard.symbols for shard in shards),
        image=spec.template.image or image,
    )


def _policies(resource: Resource, spec: Spec, rules: NetworkRules | None, settings: PodSettings) -> list[Document]:
    """The policy comes first, so that no pod runs without it."""
    return [] if rules is None else [networkpolicy(resource, spec, rules, settings)]


def _shard_objects(shard: Shard) -> list[Document]:
    """The Deployment comes last because its pods mount the ConfigMap."""
    config = configmap(shard)
    budgets = [poddisruptionbudget(shard)] if shard.spec.replicas > 1 else []
    return [config, service(shard), *budgets, deployment(shard, config["metadata"]["name"])]


def with_hash(child: Document) -> Document:
    """`child` with a hash of its desired state, so that a change shows without comparing fields."""
    annotations = {**child["metadata"]["annotations"], APPLIED_ANNOTATION: digest(child)}
    return {**child, "metadata": {**child["metadata"], "annotations": annotations}}


def _template_hash(deployment_: Document) -> str:
    return str(deployment_["spec"]["template"]["metadata"]["annotations"][TEMPLATE_ANNOTATION])
