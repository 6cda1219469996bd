"""Reads the spec of a stored resource with the shared source of its rules."""

from typing import Any

from market_operator.errors import SpecError
from market_operator.resource.document import Document, Resource
from market_spec.kinds import Findings
from market_spec.messages import Path, path_text
from market_spec.spec import Spec
from market_spec.spec import read_spec as read

MOST_FAULTS = 5
"""Number of faults that a condition's message shows."""
MOST_LEVELS = 60
"""Most levels of a spec, as in a file for `validate`. No field needs more than 15."""
_SHOWN_LEVELS = 4


def read_spec(resource: Resource) -> Spec:
    """The spec with all defaults. Unknown fields are ignored.

    So an operator that was rolled back still serves resources with newer fields.

    Raises:
        SpecError: the spec breaks a rule, as an object may that was stored before the rule existed.
    """
    if path := _too_deep(resource.spec):
        text = f"is nested deeper than {MOST_LEVELS} levels. Remove it"
        raise SpecError(f"{path_text(path)}: {text}")
    findings = Findings(allow_unknown=True)
    spec = read(resource.spec, findings)
    if spec is None:
        raise SpecError("; ".join(f"{path_text(path)}: {text}" for path, text in findings.faults[:MOST_FAULTS]))
    return spec


def _too_deep(spec: Document) -> Path | None:
    """The first four names of the path to a value that is nested too deeply; None if there is none.

    A recursive walk, as by a serializer, could end the pass.
    """
    values: list[tuple[Any, Path, int]] = [(spec, ("spec",), 1)]
    while values:
        value, path, level = values.pop()
        if level > MOST_LEVELS:
            return path
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        values += [(each, (*path, name)[:_SHOWN_LEVELS], level + 1) for name, each in items]
    return None
