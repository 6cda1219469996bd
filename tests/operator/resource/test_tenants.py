import re
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.errors import NotAllowedError
from market_operator.resource.document import Resource
from market_operator.resource.spec import read_spec
from market_operator.resource.tenants import TenantRules
from tenant_cases import CASES, Case

MakeResource = Callable[..., Resource]


def refusal(rules: TenantRules, resource: Resource) -> str:
    """The message of the refusal; empty if there is none."""
    try:
        rules.check(read_spec(resource))
    except NotAllowedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case.field}" for n, case in enumerate(CASES)])
def test_limit_allows_or_refuses_the_spec(case: Case, resource: MakeResource) -> None:
    message = refusal(TenantRules.read({case.field: case.allowed}), resource(**case.spec))
    assert bool(message) == bool(case.refused), message
    assert message.startswith(case.refused)
    assert not message or f"tenants.allow.{case.field} allows" in message


def test_refusal_names_the_field_the_value_and_the_limit(resource: MakeResource) -> None:
    found = resource(template={"image": "evil/collector:1", "env": [{"name": "A"}, {"name": "B"}]})
    rules = TenantRules.read({"image": ["registry/team/", "registry/collector"], "env": ["A"], "volumes": False})
    assert refusal(rules, found) == (
        'spec.template.image: "evil/collector:1" is not allowed here, '
        "tenants.allow.image allows only registry/team/ or registry/collector; "
        'spec.template.env[1]: "B" is not allowed here, tenants.allow.env allows only A'
    )
    nothing = TenantRules.read({"image": False})
    assert refusal(nothing, found).endswith("tenants.allow.image allows none")


def test_only_the_first_refusals_are_listed(resource: MakeResource) -> None:
    found = resource(template={"env": [{"name": f"A{number}"} for number in range(9)]})
    assert refusal(TenantRules.read({"env": False}), found).count("is not allowed") == 5


def test_without_limits_everything_is_allowed(resource: MakeResource) -> None:
    everything = [case.spec for case in CASES]
    assert not any(refusal(TenantRules(), resource(**spec)) for spec in everything)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "must be a JSON object"),
        ({"images": True}, "images is unknown. Allowed: image, serviceAccountName"),
        ({"image": "registry/"}, "image must be true, false or a list of strings"),
        ({"image": [1]}, "image must be true, false or a list of strings"),
        ({"env": [""]}, "env must be true, false or a list of strings"),
        ({"volumes": ["hostPath"]}, "volumes: hostPath is unknown. Allowed: configMap, secret"),
    ],
)
def test_malformed_limits_are_refused(document: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        TenantRules.read(document)
