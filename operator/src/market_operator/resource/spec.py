"""Reads the spec of a stored resource with the shared source of its rules."""

from market_operator.errors import SpecError
from market_operator.resource.document import Resource
from market_spec.kinds import Findings
from market_spec.messages import path_text
from market_spec.spec import Spec
from market_spec.spec import read_spec as read

MOST_FAULTS = 5
"""Number of faults that a condition's message shows."""


def read_spec(resource: Resource) -> Spec:
    """The spec with all defaults. Unknown fields are ignored.

    So an operator that was rolled back still serves resources with newer fields.

    Raises:
        SpecError: the spec breaks a rule, as an object may that was stored before the rule existed.
    """
    findings = Findings(allow_unknown=True)
    spec = read(resource.spec, findings)
    if spec is None:
        raise SpecError("; ".join(f"{path_text(path)}: {text}" for path, text in findings.faults[:MOST_FAULTS]))
    return spec
