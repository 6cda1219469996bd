"""The pod template of a collector: restricted Pod Security Standard, no API token, read-only root file system."""

from typing import Any

from market_operator.manifests.handover import HANDOVER_FILE
from market_operator.manifests.resources import container_resources
from market_operator.manifests.shard import FILE, Shard, digest
from market_operator.resource.document import Document
from market_operator.resource.naming import (
    CONTAINER,
    HTTP_PORT,
    RESOURCE_ANNOTATION,
    TEMPLATE_ANNOTATION,
    handover_name,
    labels,
)
from market_spec.environment import EnvVar
from market_spec.section import plain
from market_spec.sinks import FileSink

CONFIG_DIRECTORY = "/etc/market-collector"
CREDENTIALS_DIRECTORY = "/etc/market-collector-credentials"
CREDENTIALS_KEYS = ("apiKey", "secretKey", "passphrase")
STATE_DIRECTORY = "/var/lib/market-collector"
STATE_LIMIT = "1Gi"
"""Of the checkpoint's volume, above which the pod is evicted. A checkpoint, which exists twice while it is written, has
about 100 bytes a stream. Its text takes a fraction of the process's memory, so that limit comes first by far."""
HANDOVER_DIRECTORY = "/etc/market-collector-handover"
_USER = 65532
_USER_AND_GROUPS = {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
_OF_POD = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "serviceAccountName",
    "imagePullSecrets",
    "dnsConfig",
    "hostAliases",
    "runtimeClassName",
)
# The API server copies the service account name into the deprecated field and back, so a removed account would stay.
# Empty strings are not stored, so they restart no pod.
_NO_ACCOUNT = {"serviceAccountName": "", "serviceAccount": ""}


def pod_template(shard: Shard, configmap_name: str) -> Document:
    """The pod template. An annotation holds its hash, which identifies pods of the current template."""
    template = shard.spec.template
    annotations = {**(template.annotations or {}), RESOURCE_ANNOTATION: shard.resource.key.name}
    built: Document = {
        "metadata": {
            "labels": {
                **shard.common_labels,
                **(template.labels or {}),
                **labels(shard.resource.key.name, shard.number),
            },
            "annotations": annotations,
        },
        "spec": _pod_spec(shard, configmap_name),
    }
    annotations[TEMPLATE_ANNOTATION] = digest(built)
    return built if template.service_account_name else {**built, "spec": built["spec"] | _NO_ACCOUNT}


def _pod_spec(shard: Shard, configmap_name: str) -> Document:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            **({} if shard.settings.has_arbitrary_user else _USER_AND_GROUPS),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(shard)],
        "volumes": [
            {"name": "config", "configMap": {"name": configmap_name}},
            {"name": "state", "emptyDir": {"sizeLimit": STATE_LIMIT}},
            {"name": "handover", "configMap": {"name": handover_name(shard.resource.key.name), "optional": True}},
            *_credentials_volume(shard),
            *(_volume(index, sink) for index, sink in _file_sinks(shard)),
            *map(plain, shard.spec.template.volumes or ()),
        ],
        **_fields_of_pod(shard),
    }


def _fields_of_pod(shard: Shard) -> Document:
    """The fields of spec.template that a pod has too. They do not affect security settings."""
    given = plain(shard.spec.template)
    return {**_spread(shard), **_pull_secrets(shard), **{name: given[name] for name in _OF_POD if name in given}}


def _pull_secrets(shard: Shard) -> Document:
    """The installer's pull secrets. spec.template replaces them."""
    names = shard.settings.pull_secrets
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def _spread(shard: Shard) -> Document:
    """Spreads replicas over nodes if possible. spec.template replaces it; old and new pods count separately."""
    if shard.spec.replicas == 1:
        return {}
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": shard.selector},
        "matchLabelKeys": ["pod-template-hash"],
    }
    return {"topologySpreadConstraints": [constraint]}


def _container(shard: Shard) -> Document:
    return {
        "name": CONTAINER,
        "image": shard.spec.template.image or shard.image,
        "imagePullPolicy": shard.spec.template.image_pull_policy or shard.settings.pull_policy,
        "args": _arguments(),
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "env": _environment(shard),
        "resources": container_resources(shard),
        # Long: on a node without free CPU the first answer came after more than 60 s, and a restart only adds load.
        "startupProbe": _probe("/livez", periodSeconds=1, failureThreshold=300, timeoutSeconds=2),
        "livenessProbe": _probe("/livez", periodSeconds=10, failureThreshold=3, timeoutSeconds=2),
        "readinessProbe": _probe("/readyz", periodSeconds=2, failureThreshold=3, timeoutSeconds=2),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "state", "mountPath": STATE_DIRECTORY},
            {"name": "handover", "mountPath": HANDOVER_DIRECTORY, "readOnly": True},
            *_credentials_mount(shard),
            *(_mount(shard, index, sink) for index, sink in _file_sinks(shard)),
            *map(plain, shard.spec.template.volume_mounts or ()),
        ],
    }


def _arguments() -> list[str]:
    listen = f"0.0.0.0:{HTTP_PORT}"
    return [
        *("run", "-f", f"{CONFIG_DIRECTORY}/{FILE}", "--http", listen),
        *("--state-dir", STATE_DIRECTORY, "--handover", f"{HANDOVER_DIRECTORY}/{HANDOVER_FILE}"),
        *("--log-format", "json"),
    ]


def _environment(shard: Shard) -> list[Document]:
    return [
        _downward("POD_UID", "metadata.uid"),
        _downward("POD_NAME", "metadata.name"),
        *map(_variable, shard.spec.template.env or ()),
    ]


def _variable(env: EnvVar) -> Document:
    return plain(env) if env.value_from else {"name": env.name, "value": env.value or ""}


def _downward(name: str, path: str) -> Document:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _probe(path: str, **times: int) -> Document:
    return {"httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, **times}


def _file_sinks(shard: Shard) -> list[tuple[int, FileSink]]:
    return [(index, sink.file) for index, sink in enumerate(shard.spec.sinks) if sink.file]


def _credentials_volume(shard: Shard) -> list[Document]:
    """The three keys of the API key as files, readable by the collector's group only.

    The volume is optional: a pod without the Secret would stay in ContainerCreating. This way the collector starts,
    reports the missing keys, and uses them once the kubelet mounts them.
    """
    if not shard.collects_account or shard.spec.credentials is None:
        return []
    items = [{"key": key, "path": key} for key in CREDENTIALS_KEYS]
    secret = {"secretName": shard.spec.credentials.secret_name, "items": items, "defaultMode": 0o440, "optional": True}
    return [{"name": "credentials", "secret": secret}]


def _credentials_mount(shard: Shard) -> list[Document]:
    mount = {"name": "credentials", "mountPath": CREDENTIALS_DIRECTORY, "readOnly": True}
    return [mount] if shard.collects_account else []


def _volume(index: int, sink: FileSink) -> Document:
    source: dict[str, Any] = {"emptyDir": {} if sink.size_limit is None else {"sizeLimit": sink.size_limit}}
    if sink.claim_name:
        source = {"persistentVolumeClaim": {"claimName": sink.claim_name}}
    return {"name": f"sink-{index}", **source}


def _mount(shard: Shard, index: int, sink: FileSink) -> Document:
    mount = {"name": f"sink-{index}", "mountPath": sink.directory}
    return {**mount, "subPath": f"shard-{shard.number}"} if sink.claim_name else mount
