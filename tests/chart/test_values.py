"""values.schema.json and README.md against values.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kube import CHART, CommandError

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())

REFUSED = {
    "a misspelt name": ("replica=1", "replica"),
    "a misspelt name below": ('image.tagg="x"', "tagg"),
    "a crowd of operators": ("replicas=6", "replicas"),
    "a selector as an object": ('selector={"team":"a"}', "selector"),
    "a word for a number": ('workers="many"', "workers"),
    "no workers": ("workers=0", "workers"),
    "an unknown level": ('logLevel="verbose"', "'debug', 'info', 'warning', 'error'"),
    "an unknown format": ('logFormat="xml"', "'json', 'text'"),
    "a duration without a unit": ('counterInterval="60"', "counterInterval"),
    "a duration of nothing": ('sweepInterval="0s"', "sweepInterval"),
    "namespaces as one word": ('namespaces="default"', "namespaces"),
    "a namespace that cannot be": ('namespaces=["Default"]', "namespaces"),
    "a namespace twice": ('namespaces=["a","a"]', "namespaces"),
    "a tag in the repository": ('image.repository="localhost/x:dev"', "repository"),
    "a digest that is too short": ('image.digest="sha256:abc"', "digest"),
    "a limit as a word": ('podMonitor.sampleLimit="many"', "sampleLimit"),
    "a size without a unit": ('podMonitor.bodySizeLimit="64"', "bodySizeLimit"),
    "an unknown pull policy": ('image.pullPolicy="Sometimes"', "'Always', 'IfNotPresent', 'Never'"),
    "a label that is not a string": ('podLabels={"a":1}', "podLabels"),
    "a blocked address without a mask": ('networkPolicy.blocked=["169.254.169.254"]', "blocked"),
    "every address blocked": ('networkPolicy.blocked=["0.0.0.0/0"]', "blocked"),
    "an operator without egress": ("networkPolicy.operatorEgress=[]", "operatorEgress"),
    "an image prefix with a space": ('tenants.allow.image=["a b"]', "image"),
    "a word for a limit": ('tenants.allow.endpoint=".okx.com"', "endpoint"),
    "an unknown limit": ("tenants.allow.images=false", "images"),
    "a volume of the host": ('tenants.allow.volumes=["hostPath"]', "volumes"),
    "an endpoint with a scheme": ('tenants.allow.endpoint=["wss://a"]', "endpoint"),
    "a reader that is nobody": ("networkPolicy.readers=[{}]", "readers"),
    "a reader by a misspelt word": ('networkPolicy.readers=[{"podSelektor":{}}]', "podSelektor"),
    "a port that is none": ('networkPolicy.extraEgress=[{"ports":[{"port":70000}]}]', "port"),
    "egress to everywhere": ("networkPolicy.extraEgress=[{}]", "extraEgress"),
    "a secret without a name": ("imagePullSecrets=[{}]", "name"),
    "a pull secret as an object": ('collectorImage.pullSecrets=[{"name":"a"}]', "pullSecrets"),
    "an unknown pull policy of collectors": ('collectorImage.pullPolicy="Sometimes"', "pullPolicy"),
    "a common label that is not a string": ('commonLabels={"a":1}', "commonLabels"),
    "a common label of the operator": (
        'commonLabels={"app.kubernetes.io/component":"x"}',
        "app.kubernetes.io/component",
    ),
    "a word for a switch": ('arbitraryUser="yes"', "arbitraryUser"),
    "an account of nobody": ("serviceAccount.create=false", "set serviceAccount.name"),
}


def leaves(values: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def objects(schema: dict[str, Any], before: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the schema that lists its properties, with its path."""
    if "properties" in schema:
        yield before or "(top)", schema
        for name, below in schema["properties"].items():
            yield from objects(below, f"{before}.{name}")


@pytest.mark.cluster
@pytest.mark.parametrize(("setting", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_value_is_refused_by_name(render: Any, setting: str, named: str) -> None:
    with pytest.raises(CommandError) as refused:
        render(setting)
    assert named in refused.value.stderr


@pytest.mark.parametrize("leaf", list(leaves(VALUES)))
def test_the_readme_names_every_value(leaf: str) -> None:
    assert f"| `{leaf}` |" in (CHART / "README.md").read_text()


def test_the_readme_names_no_value_that_does_not_exist() -> None:
    lines = (CHART / "README.md").read_text().split("## Values")[1].split("\n## ")[0].splitlines()
    named = {line.split("`")[1] for line in lines if line.startswith("| `")}
    assert named == set(leaves(VALUES))


def test_readme_has_the_defaults_of_the_values() -> None:
    text = (CHART / "README.md").read_text()
    for leaf in leaves(VALUES):
        value: Any = VALUES
        for part in leaf.split("."):
            value = value[part]
        shown = value if isinstance(value, str) and value else json.dumps(value)
        assert f"| `{leaf}` | `{shown}` |" in text


@pytest.mark.parametrize("path", [path for path, _ in objects(SCHEMA)])
def test_schema_objects_refuse_unknown_names(path: str) -> None:
    assert dict(objects(SCHEMA))[path]["additionalProperties"] is False


def test_every_value_is_described_in_the_schema() -> None:
    bare = [name for name, below in SCHEMA["properties"].items() if not below.get("description")]
    assert bare == []


def test_schema_has_every_value() -> None:
    assert set(VALUES) == set(SCHEMA["properties"]) - {"global"}
