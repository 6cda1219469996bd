"""The installer's limits for what a MarketCollector may ask for. Pure.

The chart renders the same limits as a ValidatingAdmissionPolicy, in helm/market-operator/templates/tenants.yaml.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from market_operator.errors import NotAllowedError
from market_spec.messages import Path, listed, path_text, shown
from market_spec.section import plain
from market_spec.spec import Spec
from market_spec.volumes import Volume

Allowed = bool | tuple[str, ...]
"""True: everything, False: nothing; or the values that are allowed."""

MOST_REFUSALS = 5
"""Number of refusals that a message shows."""
_VOLUMES = {
    "configMap": "config_map",
    "secret": "secret",
    "emptyDir": "empty_dir",
    "persistentVolumeClaim": "persistent_volume_claim",
}
_Asked = Iterator[tuple[Path, Any, str | None]]
"""Where a spec asks for something, the value, and the part of it that must be allowed (None: no list allows it)."""


@dataclass(frozen=True, slots=True)
class TenantRules:
    """Limits by the names of the chart's value `tenants.allow`.

    A field without a rule allows everything.
    """

    allowed: Mapping[str, Allowed] = field(default_factory=dict)

    @classmethod
    def read(cls, document: Any) -> Self:
        """The rules in the chart's value `tenants.allow`.

        Raises:
            ValueError: a field is unknown, or neither a boolean nor a list of strings.
        """
        if not isinstance(document, dict):
            raise ValueError("must be a JSON object")  # noqa: TRY004 - the value is a user's
        return cls({name: _allowed(name, value) for name, value in document.items()})

    def check(self, spec: Spec) -> None:
        """Check all that a spec asks for.

        Raises:
            NotAllowedError: the spec asks for more than is allowed.
        """
        if refusals := list(self._refusals(spec)):
            raise NotAllowedError("; ".join(refusals[:MOST_REFUSALS]))

    def _refusals(self, spec: Spec) -> Iterator[str]:
        for name, allowed in self.allowed.items():
            if allowed is True:
                continue
            covers = _COVERS.get(name, str.__eq__)
            for path, value, key in _ASKED[name](spec):
                if key is None or not any(covers(key, each) for each in allowed or ()):
                    yield _refusal(path, value, name, allowed or ())


def _allowed(name: str, value: Any) -> Allowed:
    if name not in _ASKED:
        raise ValueError(f"{name} is unknown. Allowed: {', '.join(_ASKED)}")
    if isinstance(value, bool):
        return value
    if not (isinstance(value, list) and all(isinstance(each, str) and each for each in value)):
        raise ValueError(f"{name} must be true, false or a list of strings")
    if name == "volumes" and (unknown := set(value) - set(_VOLUMES)):
        raise ValueError(f"{name}: {min(unknown)} is unknown. Allowed: {', '.join(_VOLUMES)}")
    return tuple(value)


def _refusal(path: Path, value: Any, name: str, allowed: Collection[str]) -> str:
    choice = f"allows only {listed([*allowed])}" if allowed else "allows none"
    return f"{path_text(('spec', *path))}: {shown(value)} is not allowed here, tenants.allow.{name} {choice}"


def _covers_image(image: str, allowed: str) -> bool:
    """Whether an image is of a repository, with any tag or digest, or below a prefix.

    A prefix ends with a slash, so that it allows neither another registry nor a repository with a longer name.
    """
    rest = image.removeprefix(allowed)
    if allowed.endswith("/"):
        return rest != image
    return image == allowed or (rest != image and rest[0] in ":@" and "/" not in rest)


def _covers_key(key: str, allowed: str) -> bool:
    return key == allowed or (allowed.endswith("/") and key.startswith(allowed))


def _covers_host(host: str, allowed: str) -> bool:
    return host == allowed or (allowed.startswith(".") and host.endswith(allowed))


def _single(name: str, attribute: str) -> Callable[[Spec], _Asked]:
    """A field of the template with one string."""

    def asked(spec: Spec) -> _Asked:
        value = getattr(spec.template, attribute)
        if value is not None:
            yield ("template", name), value, value

    return asked


def _tolerations(spec: Spec) -> _Asked:
    """A toleration without a key tolerates every taint."""
    for number, each in enumerate(spec.template.tolerations or ()):
        yield ("template", "tolerations", number), plain(each), each.key or None


def _annotations(spec: Spec) -> _Asked:
    for key in spec.template.annotations or {}:
        yield ("template", "annotations"), key, key


def _env(spec: Spec) -> _Asked:
    for number, each in enumerate(spec.template.env or ()):
        yield ("template", "env", number), each.name, each.name


def _volumes(spec: Spec) -> _Asked:
    for number, volume in enumerate(spec.template.volumes or ()):
        for kind in _kinds(volume):
            yield ("template", "volumes", number), kind, kind


def _kinds(volume: Volume) -> Iterator[str]:
    """The kinds of a volume. A projected volume has those of its sources."""
    sources = volume.projected.sources if volume.projected else (volume,)
    for name, attribute in _VOLUMES.items():
        if any(getattr(source, attribute, None) is not None for source in sources):
            yield name


def _endpoint(spec: Spec) -> _Asked:
    """Both addresses, and the fields that give a host another address."""
    for name in ("websocket", "rest"):
        address = getattr(spec.connection.endpoint, name, None)
        if address is not None:
            yield ("connection", "endpoint", name), address, urlsplit(address).hostname
    for name, value in (("hostAliases", spec.template.host_aliases), ("dnsConfig", spec.template.dns_config)):
        if value is not None:
            yield ("template", name), value, None


_ASKED: Mapping[str, Callable[[Spec], _Asked]] = {
    "image": _single("image", "image"),
    "serviceAccountName": _single("serviceAccountName", "service_account_name"),
    "priorityClassName": _single("priorityClassName", "priority_class_name"),
    "tolerations": _tolerations,
    "annotations": _annotations,
    "env": _env,
    "volumes": _volumes,
    "endpoint": _endpoint,
}
_COVERS: Mapping[str, Callable[[str, str], bool]] = {
    "image": _covers_image,
    "annotations": _covers_key,
    "endpoint": _covers_host,
}
