"""Environment variables of the collector's container, with the field names of a pod's spec.

Defaults are the pod's, and not filled in, for the reason given in `market_spec.volumes`.
"""

from collections.abc import Iterator
from typing import Annotated

from market_spec.fields import DnsName, up_to
from market_spec.kinds import OneOf, Text, has_match
from market_spec.messages import shown
from market_spec.section import Refused, Rule, Section, Violation, exactly_one
from market_spec.volumes import DataKey

# The fields that a pod can pass on as a variable.
_FIELD_PATH = (
    r"^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['[^']+'\]|"
    r"spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$"
)
_OPTIONAL_TEXT = "Start the pods also if it does not exist. Default false: they wait for it."


class ConfigMapKey(Section, frozen=True, kw_only=True):
    """One key of a ConfigMap of the resource's namespace."""

    name: Annotated[DnsName, "Name of the ConfigMap, in the resource's namespace. Required."]
    key: Annotated[DataKey, "Key in the ConfigMap. Required."]
    optional: Annotated[bool | None, _OPTIONAL_TEXT] = None


class SecretKey(Section, frozen=True, kw_only=True):
    """One key of a Secret of the resource's namespace."""

    name: Annotated[DnsName, "Name of the Secret, in the resource's namespace. Required."]
    key: Annotated[DataKey, "Key in the Secret. Required."]
    optional: Annotated[bool | None, _OPTIONAL_TEXT] = None


class PodField(Section, frozen=True, kw_only=True):
    """A field of the pod itself."""

    api_version: Annotated[str | None, OneOf(("v1",)), "Version of the field path. Default v1."] = None
    field_path: Annotated[
        str,
        Text(
            "a field of the pod",
            "one such as metadata.namespace, metadata.labels['NAME'], spec.nodeName or status.podIP",
            pattern=_FIELD_PATH,
            max_length=400,
        ),
        "Path of the field, such as spec.nodeName. Required.",
    ]


class EnvSource(Section, frozen=True):
    """The source of a variable's value."""

    rules = (exactly_one("valueFrom", ("configMapKeyRef", "secretKeyRef", "fieldRef")),)
    refused = (
        Refused("resourceFieldRef", "write the number into value"),
        Refused("fileKeyRef", "a pod is one collector, so no container writes such a file"),
    )
    config_map_key_ref: Annotated[ConfigMapKey | None, "A key of a ConfigMap. Default none."] = None
    secret_key_ref: Annotated[
        SecretKey | None,
        "A key of a Secret, for example with the password of a proxy. Default none. The operator never reads it.",
    ] = None
    field_ref: Annotated[PodField | None, "A field of the pod, such as its node. Default none."] = None


def _two_values(env: "EnvVar") -> Iterator[Violation]:
    if env.value is not None and env.value_from is not None:
        yield Violation(("valueFrom",), f"value is {shown(env.value)}")


_LOADER_NAME = (
    "^(PYTHON|LD_|OPENSSL_|MALLOC_TRACE$|GLIBC_TUNABLES$|SSLKEYLOGFILE$|GCONV_PATH$|GETCONF_DIR$|LOCPATH$|NLSPATH$|"
    "HOSTALIASES$|LOCALDOMAIN$|RES_OPTIONS$|RESOLV_HOST_CONF$|NIS_PATH$|TZDIR$|PATH$|TMPDIR$)"
)
"""Variables by which the interpreter, OpenSSL or the C library load code or settings, or write TLS keys to a file.

SSL_CERT_FILE and SSL_CERT_DIR are allowed: they are how a collector trusts an authority of one's own.
"""
_PROXY_NAME = "_[Pp][Rr][Oo][Xx][Yy]$"
_PASSWORD = "^([A-Za-z0-9]+://)?[^/]*:[^/]*@"  # noqa: S105 - a pattern


def _loader_variable(env: "EnvVar") -> Iterator[Violation]:
    if has_match(_LOADER_NAME, env.name):
        yield Violation(("name",), shown(env.name))


def _plain_password(env: "EnvVar") -> Iterator[Violation]:
    if env.value is not None and has_match(_PROXY_NAME, env.name) and has_match(_PASSWORD, env.value):
        yield Violation(("value",), f"of {env.name}")


class EnvVar(Section, frozen=True, kw_only=True):
    """An environment variable with a plain value, or with one from elsewhere. A secret belongs into a Secret."""

    rules = (
        Rule(
            "!has(self.value) || !has(self.valueFrom)",
            "value and valueFrom must not be set together",
            _two_values,
            "valueFrom",
        ),
        Rule(
            f"!self.name.matches('{_LOADER_NAME}')",
            "PYTHON*, LD_*, OPENSSL_*, PATH and others are refused: they change the image's program",
            _loader_variable,
            "name",
        ),
        Rule(
            f"!has(self.value) || !self.name.matches('{_PROXY_NAME}') || !self.value.matches('{_PASSWORD}')",
            "a proxy's password must use valueFrom",
            _plain_password,
            "value",
        ),
    )
    name: Annotated[
        str,
        up_to(
            253, at_least=1, pattern="^[A-Za-z_][A-Za-z0-9_]*$", form="1 to 253 letters, digits and _, no digit first"
        ),
        "Name of the environment variable. Required.",
    ]
    value: Annotated[
        str | None,
        up_to(4096),
        "Its value, visible to everybody who can read the resource. Default: empty.",
    ] = None
    value_from: Annotated[
        EnvSource | None, "Where its value comes from: a Secret, a ConfigMap or the pod. Default none: value."
    ] = None
