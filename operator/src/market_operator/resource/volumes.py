"""Volumes of the pods in a pod's own words, as far as they stay inside of the resource's namespace.

What is not here cannot be mounted: a volume is of exactly one of five kinds, each of which names objects of the
resource's own namespace or nothing at all. The best known others are in the schema only to be refused by name. Defaults
are the pod's, and not filled in: in items of a list they would make every `kubectl apply` and Argo CD see a difference.
"""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.alias_generators import to_snake

from market_operator.resource.fields import (
    DIRECTORY_PATTERN,
    SYSTEM_DIRECTORIES,
    DnsLabel,
    DnsName,
    Int32,
    Quantity,
    is_below,
)
from market_operator.resource.schema import Kube, Refused, Rule, Section

Mode = Annotated[Int32, Field(ge=0, le=0o777)]
# Relative, no empty part and no `..`; a part may begin with one dot, as in .dockerconfigjson.
RELATIVE_PATTERN = r"^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
OUR_VOLUMES = ("config", "state", "credentials")
"""Names of the operator's own volumes; those of sinks are sink-0, sink-1, ..."""


def _exactly_one(what: str, *kinds: str) -> Rule:
    return Rule(
        f"[{', '.join(f'has(self.{kind})' for kind in kinds)}].filter(given, given).size() == 1",
        f"{what} needs exactly one of {', '.join(kinds)}; nothing else can be mounted",
        lambda self: sum(getattr(self, to_snake(kind)) is not None for kind in kinds) == 1,
    )


class KeyToPath(Section):
    """One key of a ConfigMap or Secret as a file."""

    key: str = Field(
        min_length=1,
        max_length=253,
        pattern="^[-._a-zA-Z0-9]+$",
        description="Key in the ConfigMap or Secret. Required.",
    )
    path: str = Field(
        max_length=255,
        pattern=RELATIVE_PATTERN,
        description="File below the mount point, relative and without `..`. Required.",
    )
    mode: Mode | None = Field(
        default=None,
        description="Permissions of the file, 0 to 511 (511 is 0777 in octal). Default: the volume's defaultMode.",
    )


Items = Annotated[tuple[KeyToPath, ...], Kube(list_type="atomic")]
_ITEMS = "Which keys become which files, at most 64. Default: each key a file of its name."
_OPTIONAL = "Start the pods without it when it does not exist. Default false: they wait for it."
_DEFAULT_MODE = "Permissions of the files, 0 to 511 (decimal; 420 is 0644 in octal). Default 420."


class ConfigMapVolume(Section):
    """Files from a ConfigMap of the resource's namespace."""

    name: DnsName = Field(description="Name of the ConfigMap, in the resource's namespace. Required.")
    items: Items | None = Field(default=None, max_length=64, description=_ITEMS)
    default_mode: Mode | None = Field(default=None, description=_DEFAULT_MODE)
    optional: bool | None = Field(default=None, description=_OPTIONAL)


class SecretVolume(Section):
    """Files from a Secret of the resource's namespace."""

    secret_name: DnsName = Field(description="Name of the Secret, in the resource's namespace. Required.")
    items: Items | None = Field(default=None, max_length=64, description=_ITEMS)
    default_mode: Mode | None = Field(default=None, description=_DEFAULT_MODE)
    optional: bool | None = Field(default=None, description=_OPTIONAL)


class EmptyDirVolume(Section):
    """An empty directory that lives as long as the pod."""

    medium: Literal["Memory"] | None = Field(
        default=None,
        description="Memory: keep it in memory, counted against the memory limit. Default: the node's disk.",
    )
    size_limit: Quantity | None = Field(
        default=None,
        description="Size in bytes, such as 1Gi, above which the pod is evicted. Default: none. Set it "
        "so that one pod cannot fill its node's disk.",
    )


class ClaimVolume(Section):
    """A PersistentVolumeClaim of the resource's namespace.

    All shards and replicas mount it, and during a roll-out old and new pods do at once, so its access mode must allow
    as many pods.
    """

    claim_name: DnsName = Field(
        description="Name of the PersistentVolumeClaim, in the resource's namespace. Required. All pods "
        "mount it, in a roll-out old and new ones at once; its access mode must allow that."
    )
    read_only: bool | None = Field(default=None, description="Mount it for reading alone. Default false.")


class ProjectedConfigMap(Section):
    """A ConfigMap among others in one directory."""

    name: DnsName = Field(description="Name of the ConfigMap, in the resource's namespace. Required.")
    items: Items | None = Field(default=None, max_length=64, description=_ITEMS)
    optional: bool | None = Field(default=None, description=_OPTIONAL)


class ProjectedSecret(Section):
    """A Secret among others in one directory."""

    name: DnsName = Field(description="Name of the Secret, in the resource's namespace. Required.")
    items: Items | None = Field(default=None, max_length=64, description=_ITEMS)
    optional: bool | None = Field(default=None, description=_OPTIONAL)


class ProjectedSource(Section):
    """One ConfigMap or Secret of a projected volume."""

    rules = (_exactly_one("a projected source", "configMap", "secret"),)
    refused = (
        Refused("serviceAccountToken", "collectors get no token of the cluster"),
        Refused("clusterTrustBundle", "put the certificates into a ConfigMap"),
        Refused("downwardAPI", "the pod's own data is in POD_NAME and POD_UID"),
        Refused("podCertificate", "collectors get no identity in the cluster"),
    )
    config_map: ProjectedConfigMap | None = Field(default=None, description="Files from a ConfigMap. Default none.")
    secret: ProjectedSecret | None = Field(default=None, description="Files from a Secret. Default none.")


class ProjectedVolume(Section):
    """Several ConfigMaps and Secrets in one directory."""

    sources: Annotated[tuple[ProjectedSource, ...], Kube(list_type="atomic")] = Field(
        min_length=1, max_length=8, description="What is put together, 1 to 8 ConfigMaps and Secrets. Required."
    )
    default_mode: Mode | None = Field(default=None, description=_DEFAULT_MODE)


_BY_CLAIM = "storage is reached through a persistentVolumeClaim"


class Volume(Section):
    """Something that the collector's container can mount."""

    rules = (
        _exactly_one("a volume", "configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"),
        Rule(
            f"!(self.name in {[*OUR_VOLUMES]}) && !self.name.matches('^sink-[0-9]+$')",
            f"the names {', '.join(OUR_VOLUMES)} and sink-N are the operator's own",
            lambda self: self.name not in OUR_VOLUMES and not self.name.removeprefix("sink-").isdecimal(),
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
    name: DnsLabel = Field(description="Name of the volume, by which volumeMounts refer to it. Required.")
    config_map: ConfigMapVolume | None = Field(
        default=None, description="Files from a ConfigMap of the namespace, for example a CA bundle. Default none."
    )
    secret: SecretVolume | None = Field(
        default=None,
        description="Files from a Secret of the namespace, for example a client certificate. Default none.",
    )
    empty_dir: EmptyDirVolume | None = Field(
        default=None, description="An empty directory that is gone with the pod. Default none."
    )
    persistent_volume_claim: ClaimVolume | None = Field(
        default=None,
        description="A PersistentVolumeClaim of the namespace, with data to read. Default none. "
        "For records use claimName of a sink.",
    )
    projected: ProjectedVolume | None = Field(
        default=None, description="Several ConfigMaps and Secrets of the namespace in one directory. Default none."
    )


def _keeps_to_itself(mount: "VolumeMount") -> bool:
    return not any(overlap(mount.mount_path, taken) for taken in SYSTEM_DIRECTORIES)


def overlap(one: str, other: str) -> bool:
    """Whether one of two directories lies in the other."""
    return is_below(one, other) or is_below(other, one)


class VolumeMount(Section):
    """Where a volume stands in the collector's container."""

    rules = (
        Rule(
            f"!{[*SYSTEM_DIRECTORIES]}.exists(taken, (self.mountPath + '/').startsWith(taken + '/') || "
            f"taken.startsWith(self.mountPath + '/'))",
            "mountPath must not overlap with a directory of the system or of the operator; use one such as /tls",
            _keeps_to_itself,
            "mountPath",
        ),
    )
    refused = (
        Refused("mountPropagation", "it needs privileges on the node", "string"),
        Refused("subPathExpr", "use subPath", "string"),
    )
    name: DnsLabel = Field(description="Name of a volume of template.volumes. Required.")
    mount_path: str = Field(
        max_length=255,
        pattern=DIRECTORY_PATTERN,
        description="Absolute path of the directory (with subPath: of the file) in the container, such "
        "as /tls; outside of the system's and the sinks' directories. Required.",
    )
    sub_path: str | None = Field(
        default=None,
        max_length=255,
        pattern=RELATIVE_PATTERN,
        description="Part of the volume to mount, relative and without `..`. Default: all of it. What is "
        "mounted in this way does not follow changes of a ConfigMap or Secret.",
    )
    read_only: bool | None = Field(
        default=None,
        description="Mount it for reading alone. Default false. ConfigMaps, Secrets and projected "
        "volumes are always read-only.",
    )
