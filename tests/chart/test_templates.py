"""The objects that the chart renders for different values."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from kube import CHART, ROOT, Document, Tools
from market_operator.resource.naming import HTTP_PORT, labels
from market_operator.resource.tenants import TenantRules

# helm is one of the cluster's tools, so these tests run with the cluster tests and are never skipped silently.
pytestmark = pytest.mark.cluster


MATRIX = {
    "defaults": (),
    "two namespaces": ('namespaces=["a","b"]',),
    "no CRD": ("crds.install=false",),
    "CRD goes with the release": ("crds.keep=false",),
    "own account": ("serviceAccount.create=false", 'serviceAccount.name="given"'),
    "no roles for people": ("rbac.aggregate=false",),
    "a mirror": ('image={"repository":"mirror:5000/x/operator","tag":"v9"}', 'imagePullSecrets=[{"name":"mirror"}]'),
    "placed": (
        'nodeSelector={"disk":"ssd"}',
        'tolerations=[{"key":"a","operator":"Exists"}]',
        'affinity={"nodeAffinity":{}}',
        'priorityClassName="high"',
    ),
    "labelled": ('podLabels={"team":"data"}', 'podAnnotations={"a":"b"}'),
    "scraped": ("podMonitor.enabled=true", "podMonitor.collectors=true", 'podMonitor.labels={"release":"prometheus"}'),
    "tuned": ("workers=16", 'counterInterval="5s"', 'logFormat="text"', 'extraEnv=[{"name":"A","value":"b"}]'),
    "open": ("networkPolicy.enabled=false",),
    "closed": ("networkPolicy.readers=[]", 'networkPolicy.extraEgress=[{"ports":[{"port":3128}]}]'),
    "renamed": ('fullnameOverride="mo"',),
    "paused": ("replicas=0",),
    "single": ("replicas=1",),
    "selected": ('selector="team in (a,b)"',),
    "common labels": ('commonLabels={"team":"data"}',),
    "OpenShift": ("arbitraryUser=true",),
    "pulled": ('collectorImage={"repository":"mirror/x","pullPolicy":"Always","pullSecrets":["a"]}',),
    "spread by hand": ('topologySpreadConstraints=[{"maxSkew":1}]',),
}


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


def the(documents: list[Document], kind: str) -> Document:
    (found,) = of_kind(documents, kind)
    return found


def policy_of(documents: list[Document]) -> Document:
    """The standing NetworkPolicy; another exists only while `helm test` runs."""
    (found,) = [each for each in of_kind(documents, "NetworkPolicy") if "annotations" not in each["metadata"]]
    return found


def pod_of(documents: list[Document]) -> Any:
    return the(documents, "Deployment")["spec"]["template"]


def arguments_of(documents: list[Document]) -> list[str]:
    arguments: list[str] = pod_of(documents)["spec"]["containers"][0]["args"]
    return arguments


def test_lint_finds_nothing(helm: Tools, chart: str) -> None:
    assert "0 chart(s) failed" in helm.helm("lint", "--strict", chart)


@pytest.mark.parametrize("settings", MATRIX.values(), ids=MATRIX.keys())
def test_every_variant_renders_named_and_labelled_objects(render: Any, settings: tuple[str, ...]) -> None:
    documents = render(*settings)
    names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert len(set(names)) == len(names), "one object, one name"
    assert all(d["metadata"]["labels"]["app.kubernetes.io/instance"] == "market-operator" for d in documents)
    selector = the(documents, "Deployment")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= pod_of(documents)["metadata"]["labels"].items()


def test_all_namespaces_need_a_cluster_role_and_no_option(render: Any) -> None:
    documents = render()
    assert "markets-market-operator" in [role["metadata"]["name"] for role in of_kind(documents, "ClusterRole")]
    assert [role["metadata"]["namespace"] for role in of_kind(documents, "Role")] == ["markets"], "for the Lease"
    assert not [argument for argument in arguments_of(documents) if argument.startswith("--namespace")]


def test_list_of_namespaces_limits_the_rights_to_them(render: Any) -> None:
    documents = render('namespaces=["a","b"]')
    expected = ["a", "b", "markets"]
    assert sorted(role["metadata"]["namespace"] for role in of_kind(documents, "Role")) == expected
    assert sorted(binding["metadata"]["namespace"] for binding in of_kind(documents, "RoleBinding")) == expected
    assert not of_kind(documents, "ClusterRole")
    assert not of_kind(documents, "ClusterRoleBinding")
    assert {"--namespace=a", "--namespace=b"} <= set(arguments_of(documents))


def test_bindings_refer_to_the_service_account_of_the_pod(render: Any) -> None:
    for settings in ((), ("serviceAccount.create=false", 'serviceAccount.name="given"')):
        documents = render(*settings)
        (subject,) = the(documents, "ClusterRoleBinding")["subjects"]
        assert subject["name"] == pod_of(documents)["spec"]["serviceAccountName"]
        assert subject["namespace"] == "markets"


def test_the_rights_of_the_operator_are_exactly_these(render: Any) -> None:
    role = next(r for r in of_kind(render(), "ClusterRole") if r["metadata"]["name"] == "markets-market-operator")
    rights = {
        (group, resource): sorted(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    own = sorted(["list", "watch", "create", "patch", "delete"])
    assert rights == {
        ("marketcollector.dev", "marketcollectors"): ["get", "list", "watch"],
        ("marketcollector.dev", "marketcollectors/status"): ["patch"],
        ("apps", "deployments"): own,
        ("", "services"): own,
        ("", "configmaps"): own,
        ("policy", "poddisruptionbudgets"): own,
        ("networking.k8s.io", "networkpolicies"): own,
        ("", "pods"): ["list", "watch"],
        ("events.k8s.io", "events"): ["create"],
    }


@pytest.mark.parametrize("settings", [(), ('namespaces=["a"]',)])
def test_operator_may_only_use_its_own_lease(render: Any, settings: tuple[str, ...]) -> None:
    documents = render(*settings)
    (role,) = [each for each in of_kind(documents, "Role") if each["metadata"]["name"] == "market-operator-lease"]
    assert role["metadata"]["namespace"] == "markets"
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        {**leases, "verbs": ["create"]},
        {**leases, "verbs": ["get", "update"], "resourceNames": ["market-operator"]},
    ]
    assert "--lease=markets/market-operator" in arguments_of(documents)


def test_two_replicas_are_spread_over_nodes_and_drained_one_at_a_time(render: Any) -> None:
    documents = render()
    deployment, labels = the(documents, "Deployment"), pod_of(documents)["metadata"]["labels"]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
    (constraint,) = pod_of(documents)["spec"]["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()
    budget = the(documents, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert not of_kind(render("replicas=1"), "PodDisruptionBudget")


def test_spread_of_the_values_replaces_the_default(render: Any) -> None:
    documents = render('topologySpreadConstraints=[{"maxSkew":2}]')
    assert pod_of(documents)["spec"]["topologySpreadConstraints"] == [{"maxSkew": 2}]


def test_a_selector_reaches_the_operator_as_it_is_written(render: Any) -> None:
    assert "--selector=team in (a,b),!paused" in arguments_of(render('selector="team in (a,b),!paused"'))
    assert not [argument for argument in arguments_of(render()) if argument.startswith("--selector")]


def test_rendered_crd_equals_the_generated_one(render: Any) -> None:
    rendered = the(render(), "CustomResourceDefinition")
    generated = yaml.safe_load((CHART / "files" / "marketcollectors.yaml").read_text())
    assert rendered["spec"] == generated["spec"]
    assert generated.get("metadata", {}).get("annotations", {}).items() <= rendered["metadata"]["annotations"].items()


def test_chart_copy_of_the_crd_equals_the_one_in_crds() -> None:
    assert (CHART / "files" / "marketcollectors.yaml").read_bytes() == (
        ROOT / "crds" / "marketcollectors.yaml"
    ).read_bytes(), "run `make crds`"


@pytest.mark.parametrize("is_installed", [True, False])
def test_notes_say_how_to_install_the_crd_if_the_chart_does_not(helm: Tools, chart: str, is_installed: bool) -> None:
    """The chart has no file that users could apply themselves."""
    setting = f"crds.install={is_installed}".lower()
    notes = helm.helm("install", "notes", chart, "--dry-run=client", "--set", setting).partition("NOTES:")[2]
    assert "Wait until it is ready" in notes
    assert ("market-operator crd | kubectl apply --server-side -f -" in notes) is not is_installed


def test_uninstall_keeps_the_crd_unless_keep_is_false(render: Any) -> None:
    policy = "helm.sh/resource-policy"
    assert the(render(), "CustomResourceDefinition")["metadata"]["annotations"][policy] == "keep"
    given_up = the(render("crds.keep=false"), "CustomResourceDefinition")
    assert policy not in given_up["metadata"].get("annotations", {})
    assert not of_kind(render("crds.install=false"), "CustomResourceDefinition")


def test_images_fall_back_to_the_version_of_the_chart(render: Any) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    documents = render()
    assert pod_of(documents)["spec"]["containers"][0]["image"] == f"localhost/market-operator:{version}"
    assert f"--collector-image=localhost/market-collector:{version}" in arguments_of(documents)
    tagged = render('image.tag="dev"', 'collectorImage.tag="dev"')
    assert pod_of(tagged)["spec"]["containers"][0]["image"] == "localhost/market-operator:dev"
    assert "--collector-image=localhost/market-collector:dev" in arguments_of(tagged)


def test_digest_names_the_image_with_or_without_a_tag(render: Any) -> None:
    digest = f"sha256:{'a' * 64}"
    documents = render(f'image.digest="{digest}"', f'collectorImage={{"digest":"{digest}","tag":"v9"}}')
    image = f"localhost/market-operator@{digest}"
    assert pod_of(documents)["spec"]["containers"][0]["image"] == image
    assert the(documents, "Pod")["spec"]["containers"][0]["image"] == image
    assert f"--collector-image=localhost/market-collector:v9@{digest}" in arguments_of(documents)


def test_pod_monitors_limit_what_one_pod_may_send(render: Any) -> None:
    """Any pod with the labels of a collector is scraped, in every namespace."""
    both = ("podMonitor.enabled=true", "podMonitor.collectors=true")
    for monitor in of_kind(render(*both), "PodMonitor"):
        spec = monitor["spec"]
        assert (spec["sampleLimit"], spec["labelLimit"], spec["bodySizeLimit"]) == (200_000, 32, "64MB")
    limits = ("podMonitor.sampleLimit=5000000", "podMonitor.labelLimit=0", 'podMonitor.bodySizeLimit="0"')
    for monitor in of_kind(render(*both, *limits), "PodMonitor"):
        assert monitor["spec"]["sampleLimit"] == 5_000_000
        assert not {"labelLimit", "bodySizeLimit"} & set(monitor["spec"]), "older Prometheus operators refuse them"


def test_the_operators_pod_has_no_more_than_it_needs(render: Any) -> None:
    pod = pod_of(render())["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"] == {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_labels_of_the_user_cannot_break_the_selector(render: Any) -> None:
    documents = render('podLabels={"app.kubernetes.io/name":"other","team":"data"}')
    labels = pod_of(documents)["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "market-operator"
    assert labels["team"] == "data"


def test_two_releases_share_no_cluster_wide_name(render: Any) -> None:
    def cluster_wide(documents: list[Document]) -> set[tuple[str, str]]:
        return {
            (d["kind"], d["metadata"]["name"])
            for d in documents
            if "namespace" not in d["metadata"] and d["kind"] != "CustomResourceDefinition"
        }

    assert not cluster_wide(render(namespace="one")) & cluster_wide(render(namespace="two"))
    assert not cluster_wide(render(release="one")) & cluster_wide(render(release="two"))


def test_names_stay_within_the_limits_of_kubernetes(render: Any) -> None:
    documents = render(release="r" * 53, namespace="n" * 63)
    assert max(len(d["metadata"]["name"]) for d in documents if "namespace" in d["metadata"]) <= 63
    assert max(len(d["metadata"]["name"]) for d in documents) <= 253


def test_view_and_edit_roles_allow_no_writes_to_the_status(render: Any) -> None:
    roles = {role["metadata"]["name"]: role for role in of_kind(render(), "ClusterRole")}
    view, edit = roles["markets-market-operator-view"], roles["markets-market-operator-edit"]
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert all(set(rule["verbs"]) == {"get", "list", "watch"} for rule in view["rules"])
    assert not [rule for rule in edit["rules"] if "marketcollectors/status" in rule["resources"]]


def allowed(documents: list[Document], option: str) -> list[Any]:
    return [json.loads(each.split("=", 1)[1]) for each in arguments_of(documents) if each.startswith(f"--{option}=")]


def test_operator_may_read_its_collectors(render: Any) -> None:
    for settings in ((), ("networkPolicy.readers=[]",), ('fullnameOverride="mo"', 'nameOverride="other"')):
        documents = render(*settings)
        peer = allowed(documents, "allow-from")[0]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "markets"}
        assert peer["podSelector"]["matchLabels"].items() <= pod_of(documents)["metadata"]["labels"].items()


def test_readers_and_extra_egress_come_from_the_values(render: Any) -> None:
    office = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
    proxy = {"to": [{"podSelector": {"matchLabels": {"it's": '"quoted"'}}}], "ports": [{"port": 3128}]}
    documents = render(
        f"networkPolicy.readers={json.dumps([office])}", f"networkPolicy.extraEgress={json.dumps([proxy])}"
    )
    assert allowed(documents, "allow-from")[1:] == [office]
    assert allowed(documents, "allow-to") == [proxy]
    [way_in] = policy_of(documents)["spec"]["ingress"]
    assert (way_in["from"], way_in["ports"]) == ([office], [{"port": "http", "protocol": "TCP"}])


def test_default_readers_are_prometheus_in_one_named_namespace(render: Any) -> None:
    """Any pod of any tenant may call itself Prometheus."""
    documents = render()
    [reader] = allowed(documents, "allow-from")[1:]
    assert reader["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert reader["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    assert policy_of(documents)["spec"]["ingress"][0]["from"] == [reader]


def test_metadata_services_are_blocked_unless_the_values_say_otherwise(render: Any) -> None:
    arguments = arguments_of(render())
    assert {"--block=169.254.0.0/16", "--block=fe80::/10", "--block=fd00:ec2::/32"} <= set(arguments)
    assert "--block=10.0.0.0/8" in arguments_of(render('networkPolicy.blocked=["10.0.0.0/8"]'))
    for setting in ("networkPolicy.blocked=[]", "networkPolicy.enabled=false"):
        assert not [each for each in arguments_of(render(setting)) if each.startswith("--block")]


def test_operator_connects_only_to_dns_collectors_and_the_api_server(render: Any) -> None:
    spec = policy_of(render())["spec"]
    dns, collectors, api_server = spec["egress"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    [peer] = collectors["to"]
    assert peer["namespaceSelector"] == {}
    assert peer["podSelector"]["matchLabels"].items() <= labels("any", 0).items()
    assert collectors["ports"] == [{"port": HTTP_PORT, "protocol": "TCP"}]
    assert [each["port"] for each in api_server["ports"]] == [443, 6443, 8443, 16443]


def test_operator_connects_to_collectors_of_served_namespaces_only(render: Any) -> None:
    proxy = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 3128, "protocol": "TCP"}]}
    egress = f"networkPolicy.operatorEgress={json.dumps([proxy])}"
    _, collectors, other = policy_of(render('namespaces=["a","b"]', egress))["spec"]["egress"]
    [requirement] = collectors["to"][0]["namespaceSelector"]["matchExpressions"]
    assert requirement == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}
    assert other == proxy


def test_ingress_is_closed_without_readers_and_open_without_policies(render: Any) -> None:
    assert policy_of(render("networkPolicy.readers=[]"))["spec"]["ingress"] == []
    documents = render("networkPolicy.enabled=false")
    assert not of_kind(documents, "NetworkPolicy")
    assert not allowed(documents, "allow-from")


def test_one_pod_monitor_finds_the_collectors_of_all_resources(render: Any) -> None:
    (monitor,) = of_kind(render("podMonitor.collectors=true"), "PodMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels("any", 0).items()
    assert monitor["spec"]["namespaceSelector"] == {"any": True}
    (monitor,) = of_kind(render("podMonitor.collectors=true", 'namespaces=["a","b"]'), "PodMonitor")
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["a", "b"]}


def test_values_of_an_older_release_still_render(render: Any) -> None:
    """`helm upgrade --reuse-values` brings no new defaults."""
    new = ("tenants", "rbac.admissionPolicy", "image.digest", "networkPolicy.blocked", "podMonitor.bodySizeLimit")
    documents = render(*(f"{each}=null" for each in new), "podMonitor.enabled=true")
    assert not [each for each in arguments_of(documents) if each.startswith(("--tenants-allow", "--block"))]


def limits_of(documents: list[Document]) -> Any:
    [option] = [each for each in arguments_of(documents) if each.startswith("--tenants-allow=")]
    return json.loads(option.partition("=")[2])


def test_limits_of_tenants_reach_the_operator(render: Any) -> None:
    assert not [each for each in arguments_of(render()) if each.startswith("--tenants-allow")]
    limited = render('tenants.allow={"image":["registry/team/"],"env":false,"volumes":true,"endpoint":[]}')
    assert limits_of(limited) == {"image": ["registry/team/"], "env": [], "endpoint": []}
    TenantRules.read(limits_of(limited))


def test_admission_policy_for_tenants_covers_the_served_namespaces(render: Any) -> None:
    """It is an option, and without a limit there is nothing to refuse."""
    limit, policy = 'tenants.allow.image=["registry/team/"]', "tenants.admissionPolicy=true"
    for settings in ((), (limit,), (policy,)):
        assert not of_kind(render(*settings), "ValidatingAdmissionPolicy")
    everywhere = the(render(limit, policy), "ValidatingAdmissionPolicy")
    assert everywhere["metadata"]["name"] == "markets-market-operator-tenants"
    assert everywhere["spec"]["matchConstraints"]["namespaceSelector"] == {}
    documents = render(limit, policy, 'namespaces=["a","b"]')
    selector = the(documents, "ValidatingAdmissionPolicy")["spec"]["matchConstraints"]["namespaceSelector"]
    assert selector["matchExpressions"][0]["values"] == ["a", "b"]
    binding = the(documents, "ValidatingAdmissionPolicyBinding")["spec"]
    assert binding == {"policyName": "markets-market-operator-tenants", "validationActions": ["Deny"]}


def test_accounts_policy_needs_a_cluster_that_has_the_kind(helm: Tools, chart: str) -> None:
    """It names the release's own account, so that several releases do not limit each other."""
    kind = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"

    def policies(*flags: str) -> list[Document]:
        text = helm.helm("template", "mo", chart, "--namespace", "markets", *flags)
        found = [document for document in yaml.safe_load_all(text) if document]
        return [*of_kind(found, "ValidatingAdmissionPolicy"), *of_kind(found, "ValidatingAdmissionPolicyBinding")]

    assert policies() == []
    assert policies("--api-versions", kind, "--set", "rbac.admissionPolicy=false") == []
    policy, binding = policies("--api-versions", kind)
    assert policy["metadata"]["name"] == binding["spec"]["policyName"] == "markets-mo-market-operator-account"
    assert binding["spec"]["validationActions"] == ["Deny"]
    [condition] = policy["spec"]["matchConditions"]
    assert condition["expression"] == (
        "request.userInfo.username == 'system:serviceaccount:markets:mo-market-operator'"
    )
    (given, _) = policies("--api-versions", kind, "--set", "serviceAccount.create=false,serviceAccount.name=given")
    assert "'system:serviceaccount:markets:given'" in given["spec"]["matchConditions"][0]["expression"]


def test_accounts_policy_spares_kube_system_only_if_it_is_not_served(helm: Tools, chart: str) -> None:
    flags = ("--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy")
    refused = "request.namespace != 'kube-system'"
    assert refused in helm.helm("template", "mo", chart, *flags)
    assert refused in helm.helm("template", "mo", chart, *flags, "--set", "namespaces={a}")
    assert refused not in helm.helm("template", "mo", chart, *flags, "--set", "namespaces={kube-system}")


def test_common_labels_reach_the_release_and_what_the_operator_manages(render: Any) -> None:
    labelled = render('commonLabels={"team":"data"}', "podMonitor.enabled=true")
    assert {document["metadata"]["labels"]["team"] for document in labelled} == {"data"}
    assert pod_of(labelled)["metadata"]["labels"]["team"] == "data"
    assert "--label=team=data" in arguments_of(labelled)


def test_pull_settings_of_collectors_reach_the_operator(render: Any) -> None:
    arguments = arguments_of(render('collectorImage.pullPolicy="Always"', 'collectorImage.pullSecrets=["a","b"]'))
    expected = {"--collector-pull-policy=Always", "--collector-pull-secret=a", "--collector-pull-secret=b"}
    assert expected <= set(arguments)


def test_users_are_left_to_the_namespace_on_openshift(render: Any) -> None:
    documents = render("arbitraryUser=true")
    for pod in (pod_of(documents)["spec"], the(documents, "Pod")["spec"]):
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert "--arbitrary-user" in arguments_of(documents)


def test_helm_test_is_no_part_of_the_operator(render: Any) -> None:
    """Otherwise the Service and the PodDisruptionBudget would count it."""
    documents = render()
    pod, selector = the(documents, "Pod"), the(documents, "Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= pod["metadata"]["labels"].items()
    policies = of_kind(documents, "NetworkPolicy")
    [way_in] = [each for each in policies if each["metadata"].get("annotations")]
    [peer] = way_in["spec"]["ingress"][0]["from"]
    assert peer["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
