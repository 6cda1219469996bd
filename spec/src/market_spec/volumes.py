"""Volumes of the pods, with the field names of a pod's spec, limited to the resource's namespace.

A volume has exactly one of five kinds. Each names objects of the resource's own namespace, or none. The best known
other kinds are in the schema only to be refused by name. Defaults are the pod's, and not filled in: inside list items
they would make every `kubectl apply` and Argo CD report a difference.
"""

from collections.abc import Iterator
from typing import Annotated

from market_spec.fields import SYSTEM_DIRECTORIES, Amount, Directory, DnsLabel, DnsName, integer, overlap, up_to
from market_spec.kinds import Items, OneOf, Text
from market_spec.messages import shown
from market_spec.section import Refused, Rule, Section, Violation, exactly_one

Mode = Annotated[int, integer(0, 0o777)]
# Relative, no empty part and no `..`; a part may start with one dot, as in .dockerconfigjson.
RELATIVE_PATTERN = r"^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
RelativePath = Annotated[
    str,
    Text(
        "a relative path",
        "such as certs/ca.crt, of at most 255 letters, digits, -, _, . and /; no part is `..` or empty",
        pattern=RELATIVE_PATTERN,
        max_length=255,
    ),
]
OPERATOR_VOLUMES = ("config", "state", "handover", "credentials")
"""Names of the operator's own volumes; those of sinks are sink-0, sink-1, ..."""


_KINDS = ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected")
_NOTHING_ELSE = "; nothing else can be mounted"
DataKey = Annotated[
    str, up_to(253, at_least=1, pattern="^[-._a-zA-Z0-9]+$", form="1 to 253 letters, digits, -, _ and .")
]
"""A key of a ConfigMap or Secret."""


class KeyToPath(Section, frozen=True, kw_only=True):
    """One key of a ConfigMap or Secret as a file."""

    key: Annotated[DataKey, "Key in the ConfigMap or Secret. Required."]
    path: Annotated[RelativePath, "File below the mount point, relative and without `..`. Required."]
    mode: Annotated[
        Mode | None,
        "Permissions of the file, 0 to 511 (511 is 0777 in octal). Default: the volume's defaultMode.",
    ] = None


_ITEMS = Items(0, 64, "atomic")
_ITEMS_TEXT = "Which keys become which files, at most 64. Default: each key a file of its name."
_OPTIONAL_TEXT = "Start the pods even if it does not exist. Default false: they wait for it."
_MODE_TEXT = "Permissions of the files, 0 to 511 (decimal; 420 is 0644 in octal). Default 420."
_CONFIG_MAP_TEXT = "Name of the ConfigMap, in the resource's namespace. Required."
_SECRET_TEXT = "Name of the Secret, in the resource's namespace. Required."  # noqa: S105 - a description


class ConfigMapVolume(Section, frozen=True, kw_only=True):
    """Files from a ConfigMap of the resource's namespace."""

    name: Annotated[DnsName, _CONFIG_MAP_TEXT]
    items: Annotated[tuple[KeyToPath, ...] | None, _ITEMS, _ITEMS_TEXT] = None
    default_mode: Annotated[Mode | None, _MODE_TEXT] = None
    optional: Annotated[bool | None, _OPTIONAL_TEXT] = None


class SecretVolume(Section, frozen=True, kw_only=True):
    """Files from a Secret of the resource's namespace."""

    secret_name: Annotated[DnsName, _SECRET_TEXT]
    items: Annotated[tuple[KeyToPath, ...] | None, _ITEMS, _ITEMS_TEXT] = None
    default_mode: Annotated[Mode | None, _MODE_TEXT] = None
    optional: Annotated[bool | None, _OPTIONAL_TEXT] = None


class EmptyDirVolume(Section, frozen=True):
    """An empty directory that is deleted with the pod."""

    medium: Annotated[
        str | None,
        OneOf(("Memory",)),
        "Memory: keep it in memory, counted against the memory limit. Default: the node's disk.",
    ] = None
    size_limit: Annotated[
        Amount | None,
        "Size in bytes, such as 1Gi, above which the pod is evicted. Default: none. Set it "
        "so that one pod cannot fill its node's disk.",
    ] = None


class ClaimVolume(Section, frozen=True, kw_only=True):
    """A PersistentVolumeClaim of the resource's namespace.

    All shards and replicas mount it. Old and new pods mount it at once during a rolling update, so its access mode must
    allow as many pods.
    """

    claim_name: Annotated[
        DnsName,
        "Name of the PersistentVolumeClaim, in the resource's namespace. Required. All pods mount it, old and new ones "
        "at once during a rolling update. Its access mode must allow that.",
    ]
    read_only: Annotated[bool | None, "Mount it read-only. Default false."] = None


class ProjectedConfigMap(Section, frozen=True, kw_only=True):
    """A ConfigMap among others in one directory."""

    name: Annotated[DnsName, _CONFIG_MAP_TEXT]
    items: Annotated[tuple[KeyToPath, ...] | None, _ITEMS, _ITEMS_TEXT] = None
    optional: Annotated[bool | None, _OPTIONAL_TEXT] = None


class ProjectedSecret(Section, frozen=True, kw_only=True):
    """A Secret among others in one directory."""

    name: Annotated[DnsName, _SECRET_TEXT]
    items: Annotated[tuple[KeyToPath, ...] | None, _ITEMS, _ITEMS_TEXT] = None
    optional: Annotated[bool | None, _OPTIONAL_TEXT] = None


class ProjectedSource(Section, frozen=True):
    """One ConfigMap or Secret of a projected volume."""

    rules = (exactly_one("a projected source", ("configMap", "secret"), _NOTHING_ELSE),)
    refused = (
        Refused("serviceAccountToken", "collectors get no token of the cluster"),
        Refused("clusterTrustBundle", "put the certificates into a ConfigMap"),
        Refused("downwardAPI", "the pod's own data is in POD_NAME and POD_UID"),
        Refused("podCertificate", "collectors get no identity in the cluster"),
    )
    config_map: Annotated[ProjectedConfigMap | None, "Files from a ConfigMap. Default none."] = None
    secret: Annotated[ProjectedSecret | None, "Files from a Secret. Default none."] = None


class ProjectedVolume(Section, frozen=True, kw_only=True):
    """Several ConfigMaps and Secrets in one directory."""

    sources: Annotated[
        tuple[ProjectedSource, ...],
        Items(1, 8, "atomic"),
        "ConfigMaps and Secrets that share the directory, 1 to 8. Required.",
    ]
    default_mode: Annotated[Mode | None, _MODE_TEXT] = None


def _operator_volume(volume: "Volume") -> Iterator[Violation]:
    if volume.name in OPERATOR_VOLUMES or volume.name.removeprefix("sink-").isdecimal():
        yield Violation(("name",), shown(volume.name))


_BY_CLAIM = "storage is reached through a persistentVolumeClaim"


class Volume(Section, frozen=True, kw_only=True):
    """A volume that the collector's container can mount."""

    rules = (
        exactly_one("a volume", _KINDS, _NOTHING_ELSE),
        Rule(
            f"!(self.name in {[*OPERATOR_VOLUMES]}) && !self.name.matches('^sink-[0-9]+$')",
            f"the names {', '.join(OPERATOR_VOLUMES)} and sink-N are the operator's own",
            _operator_volume,
            "name",
        ),
    )
    refused = (
        Refused("hostPath", "it would reach the node"),
        Refused("csi", _BY_CLAIM),
        Refused("nfs", _BY_CLAIM),
        Refused("iscsi", _BY_CLAIM),
        Refused("image", "build the files into template.image"),
        Refused("ephemeral", "use emptyDir, or a persistentVolumeClaim that exists"),
        Refused("downwardAPI", "the pod's own data is in POD_NAME and POD_UID"),
    )
    name: Annotated[DnsLabel, "Name of the volume; volumeMounts refer to it. Required."]
    config_map: Annotated[
        ConfigMapVolume | None, "Files from a ConfigMap of the namespace, for example a CA bundle. Default none."
    ] = None
    secret: Annotated[
        SecretVolume | None,
        "Files from a Secret of the namespace, for example a client certificate. Default none.",
    ] = None
    empty_dir: Annotated[EmptyDirVolume | None, "An empty directory, deleted with the pod. Default none."] = None
    persistent_volume_claim: Annotated[
        ClaimVolume | None,
        "A PersistentVolumeClaim of the namespace, with data to read. Default none. "
        "For records use claimName of a sink.",
    ] = None
    projected: Annotated[
        ProjectedVolume | None, "Several ConfigMaps and Secrets of the namespace in one directory. Default none."
    ] = None


def _system_mount(mount: "VolumeMount") -> Iterator[Violation]:
    if any(overlap(mount.mount_path, taken) for taken in SYSTEM_DIRECTORIES):
        yield Violation(("mountPath",), shown(mount.mount_path))


class VolumeMount(Section, frozen=True, kw_only=True):
    """A mount of a volume in the collector's container."""

    rules = (
        Rule(
            f"!{[*SYSTEM_DIRECTORIES]}.exists(taken, (self.mountPath + '/').startsWith(taken + '/') || "
            f"taken.startsWith(self.mountPath + '/'))",
            "mountPath must not overlap with a directory of the system or of the operator; use one such as /tls",
            _system_mount,
            "mountPath",
        ),
    )
    refused = (
        Refused("mountPropagation", "it needs privileges on the node", "string"),
        Refused("subPathExpr", "use subPath", "string"),
    )
    name: Annotated[DnsLabel, "Name of a volume of template.volumes. Required."]
    mount_path: Annotated[
        Directory,
        "Absolute path in the container, such as /tls, of the directory or, with subPath, the file. It must be outside "
        "the directories of the system and of the sinks. Required.",
    ]
    sub_path: Annotated[
        RelativePath | None,
        "Part of the volume to mount, relative and without `..`. Default: all of it. With it, changes of a ConfigMap "
        "or Secret do not reach the pod.",
    ] = None
    read_only: Annotated[
        bool | None,
        "Mount it read-only. Default false. ConfigMaps, Secrets and projected volumes are always read-only.",
    ] = None
