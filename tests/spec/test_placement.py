"""Placement is passed on to the pods exactly as it was given. tests/contract and tests/cluster check the types."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from market_spec.kinds import Findings
from market_spec.section import Block, plain
from market_spec.template import Template

SAMPLE = Path(__file__).parents[2] / "crds/samples/okx-placement.yaml"
FIELDS = ("affinity", "tolerations", "topologySpreadConstraints")
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}


def read(template: dict[str, Any]) -> tuple[Any, list[str]]:
    findings = Findings()
    found = Block(Template).read(template, ("template",), findings)
    return found, [text for _, text in findings.faults]


def test_every_field_reaches_the_pods_unchanged() -> None:
    given = yaml.safe_load(SAMPLE.read_text())["spec"]["template"]
    template, faults = read(given)
    assert not faults
    assert {name: plain(template)[name] for name in FIELDS} == {name: given[name] for name in FIELDS}


@pytest.mark.parametrize("empty", [{"affinity": {}}, {"tolerations": [{}]}, {"topologySpreadConstraints": [SPREAD]}])
def test_defaults_are_not_filled_in(empty: dict[str, Any]) -> None:
    """They are the pod's: inside lists, they would make every `kubectl apply` report a change."""
    template, faults = read(empty)
    assert (plain(template), faults) == (empty, [])


def test_misspelt_field_is_reported_with_those_that_exist() -> None:
    _, [fault] = read({"affinity": {"nodeAffinty": {}}})
    assert fault.startswith("unknown field. Did you mean nodeAffinity?")
