"""The pod template of a collector: restricted Pod Security Standard, no API token, read-only root file system."""

from typing import Any

from market_operator.manifests.shard import FILE, Shard, digest
from market_operator.resource.document import Document
from market_operator.resource.naming import CONTAINER, HTTP_PORT, RESOURCE_ANNOTATION, TEMPLATE_ANNOTATION, labels
from market_spec.section import plain
from market_spec.sinks import FileSink

CONFIG_DIRECTORY = "/etc/market-collector"
CREDENTIALS_DIRECTORY = "/etc/market-collector-credentials"
CREDENTIALS_KEYS = ("apiKey", "secretKey", "passphrase")
STATE_DIRECTORY = "/var/lib/market-collector"
_USER = 65532
# Measured: a collector of three order books over TLS uses 30 to 40 MB and 1 to 2 % of a core.
_REQUESTS = {"cpu": "20m", "memory": "48Mi"}
_LIMITS = {"memory": "128Mi"}
_PLACEMENT = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "serviceAccountName",
    "imagePullSecrets",
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
            "labels": {**(template.labels or {}), **labels(shard.resource.key.name, shard.number)},
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
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(shard)],
        "volumes": [
            {"name": "config", "configMap": {"name": configmap_name}},
            {"name": "state", "emptyDir": {}},
            *_credentials_volume(shard),
            *(_volume(index, sink) for index, sink in _file_sinks(shard)),
            *map(plain, shard.spec.template.volumes or ()),
        ],
        **_placement(shard),
    }


def _placement(shard: Shard) -> Document:
    """The placement fields of spec.template. They do not affect security settings."""
    given = plain(shard.spec.template)
    return _spread(shard) | {name: given[name] for name in _PLACEMENT if name in given}


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
        "imagePullPolicy": "IfNotPresent",
        "args": _arguments(),
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "env": _environment(shard),
        "resources": _resources(shard),
        "startupProbe": _probe("/livez", periodSeconds=1, failureThreshold=60, timeoutSeconds=2),
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
            *_credentials_mount(shard),
            *(_mount(shard, index, sink) for index, sink in _file_sinks(shard)),
            *map(plain, shard.spec.template.volume_mounts or ()),
        ],
    }


def _arguments() -> list[str]:
    listen = f"0.0.0.0:{HTTP_PORT}"
    return [
        *("run", "-f", f"{CONFIG_DIRECTORY}/{FILE}", "--http", listen),
        *("--state-dir", STATE_DIRECTORY, "--log-format", "json"),
    ]


def _environment(shard: Shard) -> list[Document]:
    return [
        _downward("POD_UID", "metadata.uid"),
        _downward("POD_NAME", "metadata.name"),
        *({"name": env.name, "value": env.value} for env in shard.spec.template.env or ()),
    ]


def _downward(name: str, path: str) -> Document:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _resources(shard: Shard) -> Document:
    given = shard.spec.template.resources
    return {
        "requests": _REQUESTS if given is None or given.requests is None else given.requests,
        "limits": _LIMITS if given is None or given.limits is None else given.limits,
    }


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
    source: dict[str, Any] = {"emptyDir": {}}
    if sink.claim_name:
        source = {"persistentVolumeClaim": {"claimName": sink.claim_name}}
    return {"name": f"sink-{index}", **source}


def _mount(shard: Shard, index: int, sink: FileSink) -> Document:
    mount = {"name": f"sink-{index}", "mountPath": sink.directory}
    return {**mount, "subPath": f"shard-{shard.number}"} if sink.claim_name else mount
