from typing import Any

import pytest
from pydantic import ValidationError

from market_operator.resource.volumes import Volume, VolumeMount, overlap

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
def test_a_volume_goes_into_the_pod_as_it_was_written(source: dict[str, Any]) -> None:
    given = {"name": "v", **source}
    assert Volume.model_validate(given).model_dump(by_alias=True, exclude_none=True, mode="json") == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected"),
        ({"emptyDir": {}, "secret": {"secretName": "s"}}, "needs exactly one of"),
        ({"hostPath": {"path": "/"}}, "hostPath is refused: it would reach the node"),
        ({"emptyDir": {}, "csi": {}}, "csi is refused"),
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, "serviceAccountToken is refused"),
        ({"projected": {"sources": [{}]}}, "needs exactly one of configMap, secret"),
        ({"secret": {"secretName": "other/name"}}, "pattern"),
        ({"secret": {"secretName": "s", "items": [{"key": "k", "path": "a/../b"}]}}, "pattern"),
        ({"name": "config", "emptyDir": {}}, "are the operator's own"),
        ({"name": "sink-3", "emptyDir": {}}, "are the operator's own"),
    ],
)
def test_what_leads_out_of_the_namespace_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Volume.model_validate({"name": "v", **given})


@pytest.mark.parametrize("name", ["sink", "sink-a", "sink-1a", "configs"])
def test_names_that_only_look_like_ours_are_free(name: str) -> None:
    assert Volume.model_validate({"name": name, "emptyDir": {}}).name == name


@pytest.mark.parametrize(
    "path", ["/etc", "/etc/ssl/certs", "/var", "/var/lib", "/opt/venv", "/proc/1", "/a/../etc", "a"]
)
def test_a_mount_leaves_the_system_alone(path: str) -> None:
    with pytest.raises(ValidationError):
        VolumeMount.model_validate({"name": "v", "mountPath": path})


@pytest.mark.parametrize("part", ["..", "a/..", "../a", "/a", "a//b", "a/"])
def test_a_part_of_a_volume_lies_in_the_volume(part: str) -> None:
    with pytest.raises(ValidationError):
        VolumeMount.model_validate({"name": "v", "mountPath": "/tls", "subPath": part})


@pytest.mark.parametrize("part", ["a", ".dockerconfigjson", "a..b/c", "a/b/c"])
def test_a_part_of_a_volume_may_have_dots_in_its_name(part: str) -> None:
    assert VolumeMount.model_validate({"name": "v", "mountPath": "/tls", "subPath": part}).sub_path == part


def test_directories_overlap_when_one_lies_in_the_other() -> None:
    assert overlap("/a", "/a")
    assert overlap("/a/b", "/a")
    assert overlap("/a", "/a/b")
    assert not overlap("/a", "/ab")
