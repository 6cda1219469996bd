"""Changes of managed objects by other writers. Pure."""

from collections.abc import Mapping
from typing import Any

from market_operator.cluster.actions import Action, Apply
from market_operator.observed.cache import LAST_WRITER, Observed, name_of
from market_operator.reconcile.plan import IDENTITY, applied, covers_field, omitted_value
from market_operator.resource.naming import MANAGER


def is_repeat(action: Action) -> bool:
    """Whether an object that exists is applied again."""
    return isinstance(action, Apply) and not action.is_new


def is_changed_by_others(action: Apply, observed: Observed) -> bool:
    """Whether an object that is applied again had this desired state before."""
    known = observed.children.get(name_of(action.manifest))
    return known is not None and applied(known) == applied(action.manifest)


def describe(action: Apply, observed: Observed) -> str:
    """The object, its first changed field, and its last writer."""
    kind, name = name_of(action.manifest)
    known = observed.children.get((kind, name), {})
    desired = {key: value for key, value in action.manifest.items() if key not in IDENTITY}
    where = changed_field(known, desired).lstrip(".") or "its content"
    writer = known.get("metadata", {}).get(LAST_WRITER) or "another writer"
    return f"{kind} {name}: {'another market-operator' if writer == MANAGER else writer} changed {where}"


def changed_field(observed: Any, desired: Any, path: str = "") -> str:
    """Path of the first field of `desired` that `observed` lacks or has with another value."""
    if not isinstance(desired, Mapping) or not isinstance(observed, Mapping):
        return path
    for key, value in desired.items():
        found = observed.get(key, omitted_value(key, value))
        if not covers_field(key, found, value):
            return changed_field(found, value, f"{path}.{key}")
    return path
