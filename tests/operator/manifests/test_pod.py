from collections.abc import Callable
from typing import Any

import pytest

from market_operator.manifests.pod import pod_template
from market_operator.manifests.shard import PodSettings, Shard, digest

FILE = {"name": "a", "type": "file", "file": {"directory": "/data"}}
CLAIM = {"name": "b", "type": "file", "file": {"directory": "/archive", "claimName": "disk"}}


def template_hash(shard: Shard, configmap: str = "config") -> str:
    return str(pod_template(shard, configmap)["metadata"]["annotations"]["marketcollector.dev/template"])


def test_the_pod_meets_the_restricted_standard(shard: Callable[..., Shard]) -> None:
    spec = pod_template(shard(), "config")["spec"]
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_pod_has_no_token(shard: Callable[..., Shard]) -> None:
    spec = pod_template(shard(template={"serviceAccountName": "mine"}), "config")["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "mine"
    assert "serviceAccount" not in spec, "the API server fills it in"


def test_empty_service_account_is_no_part_of_the_template_hash(shard: Callable[..., Shard]) -> None:
    template = pod_template(shard(), "config")
    spec = template["spec"]
    assert (spec.pop("serviceAccountName"), spec.pop("serviceAccount")) == ("", "")
    annotations = template["metadata"]["annotations"]
    assert annotations.pop("marketcollector.dev/template") == digest(template)


def test_collector_command_is_the_documented_one(shard: Callable[..., Shard]) -> None:
    [container] = pod_template(shard(), "config")["spec"]["containers"]
    assert " ".join(container["args"]) == (
        "run -f /etc/market-collector/collector.json --http 0.0.0.0:8080 "
        "--state-dir /var/lib/market-collector --handover /etc/market-collector-handover/handover.json "
        "--log-format json"
    )
    assert container["image"] == "operator/image:1"
    assert [each["name"] for each in container["env"]] == ["POD_UID", "POD_NAME"]


def test_directories_of_file_sinks_are_mounted(shard: Callable[..., Shard]) -> None:
    spec = pod_template(shard(sinks=[FILE, CLAIM]), "config")["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert volumes["sink-0"]["emptyDir"] == {}
    assert volumes["state"]["emptyDir"] == {"sizeLimit": "1Gi"}
    assert volumes["sink-1"]["persistentVolumeClaim"] == {"claimName": "disk"}
    assert mounts["/data"]["name"] == "sink-0"
    assert mounts["/archive"]["subPath"] == "shard-0"


def test_handover_document_is_mounted_read_only_and_need_not_exist(shard: Callable[..., Shard]) -> None:
    """A pod starts before the operator has written it. A mount of the directory follows later changes."""
    spec = pod_template(shard(), "config")["spec"]
    [volume] = [each for each in spec["volumes"] if each["name"] == "handover"]
    assert volume["configMap"] == {"name": "okx-btc-handover", "optional": True}
    [mount] = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "handover"]
    assert mount == {"name": "handover", "mountPath": "/etc/market-collector-handover", "readOnly": True}


def test_users_volumes_follow_those_of_the_operator(shard: Callable[..., Shard]) -> None:
    secret = {"name": "tls", "secret": {"secretName": "client", "optional": False}}
    mount = {"name": "tls", "mountPath": "/tls", "readOnly": True}
    spec = pod_template(shard(template={"volumes": [secret], "volumeMounts": [mount]}), "config")["spec"]
    assert [each["name"] for each in spec["volumes"]] == ["config", "state", "handover", "tls"]
    assert spec["volumes"][-1] == secret
    assert spec["containers"][0]["volumeMounts"][-1] == mount


def test_default_template_hash_is_unchanged(
    shard: Callable[..., Shard],
) -> None:
    """An upgrade restarts every collector when this hash changes. Note an intended change in CHANGELOG.md."""
    assert template_hash(shard()) == "8e92897bab"


def test_a_start_without_free_cpu_is_not_cut_off(shard: Callable[..., Shard]) -> None:
    """A restart would only add load."""
    probe = pod_template(shard(), "config")["spec"]["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 300


def test_placement_is_passed_on_unchanged(shard: Callable[..., Shard]) -> None:
    given = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
    }
    assert given.items() <= pod_template(shard(template=given), "config")["spec"].items()


def test_replicas_are_spread_over_nodes(shard: Callable[..., Shard]) -> None:
    [constraint] = pod_template(shard(replicas=2), "config")["spec"]["topologySpreadConstraints"]
    assert (constraint["topologyKey"], constraint["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert constraint["labelSelector"]["matchLabels"]["marketcollector.dev/shard"] == "0"
    assert constraint["matchLabelKeys"] == ["pod-template-hash"], (
        "the new pods of a rollout are spread among themselves"
    )


@pytest.mark.parametrize(
    "constraints", [[], [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]]
)
def test_users_spread_constraints_replace_the_default(shard: Callable[..., Shard], constraints: list[Any]) -> None:
    spec = pod_template(shard(replicas=2, template={"topologySpreadConstraints": constraints}), "config")["spec"]
    assert spec["topologySpreadConstraints"] == constraints


def test_our_labels_win_and_the_users_stay(shard: Callable[..., Shard]) -> None:
    found = pod_template(shard(template={"labels": {"team": "a"}, "annotations": {"note": "b"}}), "config")["metadata"]
    assert found["labels"]["team"] == "a"
    assert found["labels"]["marketcollector.dev/shard"] == "0"
    assert found["annotations"]["note"] == "b"


@pytest.mark.parametrize("fields", [{"template": {"image": "x"}}, {"template": {"env": [{"name": "A"}]}}])
def test_the_template_hash_follows_the_template(shard: Callable[..., Shard], fields: dict[str, Any]) -> None:
    assert template_hash(shard()) != template_hash(shard(**fields))


def test_the_template_hash_follows_the_configuration(shard: Callable[..., Shard]) -> None:
    assert template_hash(shard(), "config-1") != template_hash(shard(), "config-2")
    assert template_hash(shard(suspend=True)) == template_hash(shard())


ACCOUNT = {"dataTypes": ["trade", "balance"], "credentials": {"secretName": "okx-key"}}


def test_only_the_keys_of_the_named_secret_are_mounted_read_only(shard: Callable[..., Shard]) -> None:
    spec = pod_template(shard(**ACCOUNT), "config")["spec"]
    [volume] = [volume for volume in spec["volumes"] if "secret" in volume]
    assert volume["secret"] == {
        "secretName": "okx-key",
        "items": [{"key": key, "path": key} for key in ("apiKey", "secretKey", "passphrase")],
        "defaultMode": 0o440,
        "optional": True,
    }
    [mount] = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == volume["name"]]
    assert mount == {"name": "credentials", "mountPath": "/etc/market-collector-credentials", "readOnly": True}
    assert not [env for env in spec["containers"][0]["env"] if "secretKeyRef" in str(env)]


def test_without_balances_and_on_other_shards_there_is_no_secret(shard: Callable[..., Shard]) -> None:
    first = shard(**ACCOUNT, symbols=["A-B", "C-D"], shards=2)
    second = Shard(first.resource, first.spec, 1, ("C-D",), first.image)
    for other in (shard(), second):
        assert "secret" not in str(pod_template(other, "config")).lower()


def test_users_are_left_to_the_namespace_if_the_installer_asks(shard: Callable[..., Shard]) -> None:
    context = pod_template(shard(PodSettings(has_arbitrary_user=True)), "config")["spec"]["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_the_installer_chooses_how_images_are_pulled(shard: Callable[..., Shard]) -> None:
    settings = PodSettings(pull_policy="Always", pull_secrets=("a", "b"))
    spec = pod_template(shard(settings), "config")["spec"]
    assert spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert spec["containers"][0]["imagePullPolicy"] == "Always"


def test_the_resource_replaces_the_installer_s_pull_settings(shard: Callable[..., Shard]) -> None:
    settings = PodSettings(pull_policy="Always", pull_secrets=("a",))
    own = {"imagePullSecrets": [{"name": "own"}], "imagePullPolicy": "Never"}
    spec = pod_template(shard(settings, template=own), "config")["spec"]
    assert spec["imagePullSecrets"] == [{"name": "own"}]
    assert spec["containers"][0]["imagePullPolicy"] == "Never"


def test_a_variable_may_come_from_elsewhere(shard: Callable[..., Shard]) -> None:
    secret = {"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}
    node = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    [container] = pod_template(shard(template={"env": [secret, node, {"name": "EMPTY"}]}), "config")["spec"][
        "containers"
    ]
    assert container["env"][2:] == [secret, node, {"name": "EMPTY", "value": ""}]


def test_fields_of_a_pod_are_passed_on(shard: Callable[..., Shard]) -> None:
    own = {
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["proxy"]}],
        "runtimeClassName": "gvisor",
    }
    spec = pod_template(shard(template=own), "config")["spec"]
    assert {name: spec[name] for name in own} == own


def test_the_directory_of_a_sink_may_have_a_limit(shard: Callable[..., Shard]) -> None:
    sink = {"name": "a", "type": "file", "file": {"directory": "/data", "sizeLimit": "1Gi"}}
    [volume] = [
        each for each in pod_template(shard(sinks=[sink]), "config")["spec"]["volumes"] if each["name"] == "sink-0"
    ]
    assert volume["emptyDir"] == {"sizeLimit": "1Gi"}


def test_common_labels_reach_pods_below_those_of_the_template(shard: Callable[..., Shard]) -> None:
    settings = PodSettings(labels={"team": "installer", "cost": "1"})
    spec = {"commonLabels": {"team": "resource", "tier": "resource"}, "template": {"labels": {"tier": "pods"}}}
    labels = pod_template(shard(settings, **spec), "config")["metadata"]["labels"]
    assert (labels["team"], labels["cost"], labels["tier"]) == ("resource", "1", "pods")
    assert labels["app.kubernetes.io/component"] == "collector"
