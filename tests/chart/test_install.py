"""The chart at a real API server: pod security, rights and upgrades of the CRD."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kube import CHART, ROOT, CommandError, Document, Tools, restricted_namespace

pytestmark = pytest.mark.cluster

SAMPLES = sorted(path for path in (ROOT / "crds" / "samples").rglob("*.yaml") if path.parent.name != "secrets")
# A separate CRD, so that other users of the cluster keep theirs.
OTHER_PLURAL, OTHER_GROUP = "chartprobes", "chart-test.marketcollector.dev"


@pytest.fixture
def namespace(cluster: Tools) -> Iterator[str]:
    name = f"ch-{uuid.uuid4().hex[:8]}"
    cluster.apply(restricted_namespace(name))
    yield name
    cluster.delete_namespaces(name)


def pod_from(template: Document) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "probe-", "labels": template["metadata"]["labels"]},
        "spec": template["spec"] | {"serviceAccountName": "default"},
    }


@pytest.mark.parametrize("settings", [(), ('podLabels={"team":"data"}',), ('extraEnv=[{"name":"A","value":"b"}]',)])
def test_the_operators_pod_meets_the_restricted_standard(
    cluster: Tools, render: Any, namespace: str, settings: tuple[str, ...]
) -> None:
    (deployment,) = [d for d in render(*settings) if d["kind"] == "Deployment"]
    pod = yaml.safe_dump(pod_from(deployment["spec"]["template"]))
    made = cluster.kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=pod)
    assert "created (server dry run)" in made


def test_the_simulators_pod_meets_the_restricted_standard(cluster: Tools, namespace: str) -> None:
    manifests = yaml.safe_load_all((ROOT / "simulator" / "kubernetes.yaml").read_text())
    (deployment,) = [d for d in manifests if d["kind"] == "Deployment"]
    pod = yaml.safe_dump(pod_from(deployment["spec"]["template"]))
    made = cluster.kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=pod)
    assert "created (server dry run)" in made


def test_restricted_standard_refuses_a_pod_without_a_seccomp_profile(
    cluster: Tools, render: Any, namespace: str
) -> None:
    (deployment,) = [d for d in render() if d["kind"] == "Deployment"]
    pod = pod_from(deployment["spec"]["template"])
    del pod["spec"]["securityContext"]["seccompProfile"]
    with pytest.raises(CommandError, match="violates PodSecurity"):
        cluster.kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ('namespaces=["default","kube-system"]',),
        ("replicas=1", 'selector="team in (a,b)"'),
        ("rbac.aggregate=false",),
        ("serviceAccount.create=false", 'serviceAccount.name="given"'),
        ('commonLabels={"team":"data"}', "arbitraryUser=true"),
    ],
)
def test_the_api_server_accepts_every_object_of_the_chart(
    cluster: Tools, render: Any, namespace: str, settings: tuple[str, ...]
) -> None:
    accepted = cluster.apply(*render(*settings, namespace=namespace, release=namespace), dry_run=True)
    assert "deployment.apps" in accepted
    assert "customresourcedefinition.apiextensions.k8s.io" in accepted


def test_service_account_has_only_the_rights_of_the_operator(cluster: Tools, namespace: str) -> None:
    install = (
        "--namespace",
        namespace,
        "--set",
        "crds.install=false",
        "--set",
        "replicas=0",
        "--set",
        "rbac.aggregate=false",
    )
    cluster.helm("install", namespace, str(CHART), *install)
    try:
        may = cluster.kubectl(
            "auth",
            "can-i",
            "--list",
            "-n",
            "default",
            f"--as=system:serviceaccount:{namespace}:{namespace}-market-operator",
        )
        assert "marketcollectors.marketcollector.dev" in may
        assert "secrets" not in may
        assert "pods/exec" not in may
        assert "*.*" not in may
    finally:
        cluster.helm("uninstall", namespace, "--namespace", namespace)


def test_install_limits_the_operators_account(cluster: Tools, namespace: str) -> None:
    """Helm finds out by itself that this cluster has the kind."""
    options = ("crds.install=false", "replicas=0", f"namespaces={{{namespace}}}")
    flags = [flag for option in options for flag in ("--set", option)]
    cluster.helm("install", namespace, str(CHART), "--namespace", namespace, *flags)
    try:
        policy = cluster.get("validatingadmissionpolicy", f"{namespace}-{namespace}-market-operator-account")
        assert f"'system:serviceaccount:{namespace}:{namespace}-market-operator'" in json.dumps(policy["spec"])
        bound = cluster.get("validatingadmissionpolicybinding", policy["metadata"]["name"])
        assert bound["spec"]["validationActions"] == ["Deny"]
    finally:
        cluster.helm("uninstall", namespace, "--namespace", namespace)


def test_upgrade_goes_on_without_a_namespace_that_is_gone(cluster: Tools, namespace: str) -> None:
    tenant, missing = f"{namespace}-a", f"{namespace}-b"
    values = f"crds.install=false,replicas=0,namespaces={{{tenant},{missing}}}"
    cluster.apply(restricted_namespace(tenant))
    try:
        notes = cluster.helm("install", namespace, str(CHART), "--namespace", namespace, "--set", values)
        assert f"The namespace {missing} does not exist" in notes
        assert _role_exists(cluster, namespace, tenant)
        cluster.kubectl("delete", "namespace", tenant)
        upgraded = cluster.helm("upgrade", namespace, str(CHART), "--namespace", namespace, "--reuse-values")
        assert f"The namespace {tenant} does not exist" in upgraded
        cluster.apply(restricted_namespace(tenant))
        cluster.helm("upgrade", namespace, str(CHART), "--namespace", namespace, "--reuse-values")
        assert _role_exists(cluster, namespace, tenant)
    finally:
        cluster.helm("uninstall", namespace, "--namespace", namespace)
        cluster.delete_namespaces(tenant)


def _role_exists(cluster: Tools, release: str, namespace: str) -> bool:
    name = f"{release}-{release}-market-operator"
    return f"role.rbac.authorization.k8s.io/{name}" in cluster.kubectl("get", "role", "-n", namespace, "-o", "name")


@pytest.mark.parametrize("settings", [(), ("arbitraryUser=true",)])
def test_the_test_pod_meets_the_restricted_standard(
    cluster: Tools, render: Any, namespace: str, settings: tuple[str, ...]
) -> None:
    [pod] = [each for each in render(*settings, namespace=namespace) if each["kind"] == "Pod"]
    made = cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
    assert "created (server dry run)" in made


@pytest.fixture
def chart_of_another_definition(tmp_path: Path) -> Path:
    """The chart with a CRD of another name, because the real one belongs to the users of this cluster."""
    copy = Path(shutil.copytree(CHART, tmp_path / "market-operator"))
    rename_definition(copy, version_schema={"type": "object", "properties": {"spec": {"type": "object"}}})
    return copy


def rename_definition(chart: Path, version_schema: Document) -> None:
    definition = yaml.safe_load((CHART / "files" / "marketcollectors.yaml").read_text())
    definition["metadata"] = {"name": f"{OTHER_PLURAL}.{OTHER_GROUP}"}
    definition["spec"]["group"] = OTHER_GROUP
    definition["spec"]["names"] = {"kind": "ChartProbe", "listKind": "ChartProbeList", "plural": OTHER_PLURAL}
    version = definition["spec"]["versions"][0]
    definition["spec"]["versions"] = [
        {"name": version["name"], "served": True, "storage": True, "schema": {"openAPIV3Schema": version_schema}}
    ]
    (chart / "files" / "marketcollectors.yaml").write_text(yaml.safe_dump(definition))


def test_upgrade_updates_the_crd_and_uninstall_keeps_it(
    cluster: Tools, namespace: str, chart_of_another_definition: Path
) -> None:
    definition = ("customresourcedefinition", f"{OTHER_PLURAL}.{OTHER_GROUP}")
    release = ("--namespace", namespace, "--set", "replicas=0,rbac.aggregate=false")
    try:
        cluster.helm("install", namespace, str(chart_of_another_definition), *release)
        added = {
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": {"added": {"type": "string"}}}},
        }
        rename_definition(chart_of_another_definition, version_schema=added)
        cluster.helm("upgrade", namespace, str(chart_of_another_definition), *release)
        assert cluster.get(*definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == added
        cluster.helm("uninstall", namespace, "--namespace", namespace)
        assert cluster.get(*definition)["metadata"]["name"] == definition[1]
        cluster.helm("install", namespace, str(chart_of_another_definition), *release)
        cluster.helm("uninstall", namespace, "--namespace", namespace)
    finally:
        cluster.kubectl("delete", *definition, "--ignore-not-found")


@pytest.fixture(scope="module")
def definition(cluster: Tools) -> None:
    """The repository's CRD of MarketCollector at the API server."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds" / "marketcollectors.yaml"))
    name = "customresourcedefinition/marketcollectors.marketcollector.dev"
    cluster.kubectl("wait", "--for=condition=Established", name, "--timeout=30s")


@pytest.mark.usefixtures("definition")
@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.stem for sample in SAMPLES])
def test_the_api_server_accepts_the_sample(cluster: Tools, namespace: str, sample: Path) -> None:
    checked = ("apply", "-n", namespace, "--validate=strict", "-f", str(sample))
    assert "created (server dry run)" in cluster.kubectl(*checked, "--dry-run=server")
    assert "created" in cluster.kubectl(*checked)
    assert "unchanged" in cluster.kubectl(*checked), "what the user wrote is what the API server keeps"


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.stem for sample in SAMPLES])
def test_sample_starts_with_a_comment(sample: Path) -> None:
    assert sample.read_text().startswith("# ")
