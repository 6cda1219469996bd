from typing import Any

import pytest

from market_spec.fields import overlap
from market_spec.kinds import Findings
from market_spec.section import Block, Section, plain
from market_spec.volumes import Volume, VolumeMount


def read(section: type[Section], given: dict[str, Any]) -> Any:
    """The section, or its faults as one text."""
    findings = Findings()
    found = Block(section).read(given, (), findings)
    return found if found is not None else "\n".join(text for _, text in findings.faults)


ITEMS = [{"key": "ca.crt", "path": "certificates/ca.crt", "mode": 256}]
SOURCES: list[dict[str, Any]] = [
    {"configMap": {"name": "ca-bundle", "items": ITEMS, "defaultMode": 0, "optional": True}},
    {"secret": {"secretName": "client", "items": ITEMS}},
    {"emptyDir": {}},
    {"emptyDir": {"medium": "Memory", "sizeLimit": 1024}},
    {"persistentVolumeClaim": {"claimName": "instruments", "readOnly": True}},
    {"projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "c", "items": ITEMS}}]}},
]


@pytest.mark.parametrize("source", SOURCES)
def test_a_volume_goes_unchanged_into_the_pod(source: dict[str, Any]) -> None:
    given = {"name": "v", **source}
    assert plain(read(Volume, given)) == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected"),
        ({"emptyDir": {}, "secret": {"secretName": "s"}}, "needs exactly one of"),
        ({"hostPath": {"path": "/"}}, "hostPath is refused: it would reach the node"),
        ({"emptyDir": {}, "csi": {}}, "csi is refused"),
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, "serviceAccountToken is refused"),
        ({"projected": {"sources": [{}]}}, "needs exactly one of configMap, secret"),
        ({"secret": {"secretName": "other/name"}}, "is not a name"),
        ({"secret": {"secretName": "s", "items": [{"key": "k", "path": "a/../b"}]}}, "is not a relative path"),
        ({"name": "config", "emptyDir": {}}, "are the operator's own"),
        ({"name": "sink-3", "emptyDir": {}}, "are the operator's own"),
    ],
)
def test_a_volume_from_outside_the_namespace_is_refused(given: dict[str, Any], message: str) -> None:
    assert message in read(Volume, {"name": "v", **given})


@pytest.mark.parametrize("name", ["sink", "sink-a", "sink-1a", "configs"])
def test_names_that_resemble_the_operators_are_free(name: str) -> None:
    assert read(Volume, {"name": name, "emptyDir": {}}).name == name


@pytest.mark.parametrize(
    "path", ["/etc", "/etc/ssl/certs", "/var", "/var/lib", "/opt/venv", "/proc/1", "/a/../etc", "a"]
)
def test_a_mount_over_the_system_is_refused(path: str) -> None:
    assert "must" in read(VolumeMount, {"name": "v", "mountPath": path})


@pytest.mark.parametrize("part", ["..", "a/..", "../a", "/a", "a//b", "a/"])
def test_a_path_out_of_the_volume_is_refused(part: str) -> None:
    assert "is not a relative path: must be such as certs/ca.crt, of at most 255 letters, digits" in read(
        VolumeMount, {"name": "v", "mountPath": "/tls", "subPath": part}
    )


@pytest.mark.parametrize("part", ["a", ".dockerconfigjson", "a..b/c", "a/b/c"])
def test_a_path_in_the_volume_may_have_dots(part: str) -> None:
    assert read(VolumeMount, {"name": "v", "mountPath": "/tls", "subPath": part}).sub_path == part


def test_directories_overlap_when_one_is_inside_the_other() -> None:
    assert overlap("/a", "/a")
    assert overlap("/a/b", "/a")
    assert overlap("/a", "/a/b")
    assert not overlap("/a", "/ab")
