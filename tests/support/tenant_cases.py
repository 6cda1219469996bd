"""Limits of `tenants.allow`, and specs that they allow or refuse. The operator and the admission policy judge alike."""

from typing import Any, NamedTuple

Fields = dict[str, Any]


class Case(NamedTuple):
    """A limit, fields of a spec, and the field that the refusal names; empty if the spec is allowed."""

    field: str
    allowed: bool | list[str]
    spec: Fields
    refused: str = ""


def of_template(field: str, value: Any) -> Fields:
    """Fields of a spec with one field of its template."""
    return {"template": {field: value}}


def endpoint(websocket: str, rest: str = "https://www.okx.com") -> Fields:
    """Fields of a spec with addresses of its own."""
    return {"connection": {"endpoint": {"websocket": websocket, "rest": rest}}}


def volumes(**kind: Any) -> Fields:
    """Fields of a spec with one volume."""
    return of_template("volumes", [{"name": "v", **kind}])


PROJECTED = {"sources": [{"configMap": {"name": "a"}}, {"secret": {"name": "b"}}]}
_TEAM = ["registry.example.com/team/"]
_COLLECTOR = ["localhost:5000/collector"]

CASES = [
    Case("image", True, of_template("image", "anything:1")),
    Case("image", False, {}),
    Case("image", False, of_template("image", "anything:1"), "spec.template.image"),
    Case("image", [], of_template("image", "anything:1"), "spec.template.image"),
    Case("image", _TEAM, of_template("image", "registry.example.com/team/a/b:1")),
    Case("image", _TEAM, of_template("image", "registry.example.com/teams/a:1"), "spec.template.image"),
    Case("image", _TEAM, of_template("image", "evil.example.com/registry.example.com/team/a"), "spec.template.image"),
    Case("image", _COLLECTOR, of_template("image", "localhost:5000/collector")),
    Case("image", _COLLECTOR, of_template("image", "localhost:5000/collector:v1@sha256:ab")),
    Case("image", _COLLECTOR, of_template("image", "localhost:5000/collector-evil"), "spec.template.image"),
    Case("image", _COLLECTOR, of_template("image", "localhost:5000/collector/evil"), "spec.template.image"),
    Case("image", ["registry.example"], of_template("image", "registry.example:9/a"), "spec.template.image"),
    Case("image", ["other/", *_COLLECTOR], of_template("image", "localhost:5000/collector:v1")),
    Case("image", ["other/", *_COLLECTOR], of_template("image", "another/image"), "spec.template.image"),
    Case("serviceAccountName", False, of_template("serviceAccountName", "cloud"), "spec.template.serviceAccountName"),
    Case("serviceAccountName", ["cloud"], of_template("serviceAccountName", "cloud")),
    Case("serviceAccountName", ["cloud"], of_template("serviceAccountName", "a"), "spec.template.serviceAccountName"),
    Case("priorityClassName", ["low"], of_template("priorityClassName", "low")),
    Case("priorityClassName", ["low"], of_template("priorityClassName", "top"), "spec.template.priorityClassName"),
    Case("tolerations", False, of_template("tolerations", [])),
    Case("tolerations", ["team"], of_template("tolerations", [{"key": "team", "operator": "Exists"}])),
    Case("tolerations", ["team"], of_template("tolerations", [{"operator": "Exists"}]), "spec.template.tolerations"),
    Case("tolerations", ["team"], of_template("tolerations", [{"key": "a"}]), "spec.template.tolerations"),
    Case("annotations", ["a", "b.io/"], of_template("annotations", {"a": "", "b.io/c": ""})),
    Case("annotations", ["a", "b.io/"], of_template("annotations", {"a": "", "aa": ""}), "spec.template.annotations"),
    Case("annotations", ["b.io/"], of_template("annotations", {"ab.io/c": ""}), "spec.template.annotations"),
    Case("env", ["A"], of_template("env", [{"name": "A", "value": "x"}])),
    Case("env", ["A"], of_template("env", [{"name": "A"}, {"name": "AB"}]), "spec.template.env"),
    Case("volumes", ["emptyDir", "configMap"], volumes(emptyDir={})),
    Case("volumes", ["configMap"], volumes(emptyDir={}), "spec.template.volumes"),
    Case("volumes", ["configMap"], volumes(secret={"secretName": "a"}), "spec.template.volumes"),
    Case("volumes", ["secret"], volumes(persistentVolumeClaim={"claimName": "a"}), "spec.template.volumes"),
    Case("volumes", ["configMap"], volumes(projected=PROJECTED), "spec.template.volumes"),
    Case("volumes", ["configMap", "secret"], volumes(projected=PROJECTED)),
    Case("endpoint", False, {}),
    Case("endpoint", [".okx.com"], endpoint("wss://WS.okx.com:8443")),
    Case("endpoint", [".okx.com"], endpoint("wss://okx.com.evil.com"), "spec.connection.endpoint.websocket"),
    Case("endpoint", [".okx.com"], endpoint("wss://evilokx.com"), "spec.connection.endpoint.websocket"),
    Case("endpoint", ["ws.okx.com"], endpoint("wss://ws.okx.com"), "spec.connection.endpoint.rest"),
    Case("endpoint", ["simulator", "www.okx.com"], endpoint("ws://simulator:8443/")),
    Case("endpoint", False, endpoint("ws://[::1]:1"), "spec.connection.endpoint.websocket"),
    Case("endpoint", [".okx.com"], of_template("hostAliases", [{"ip": "10.0.0.1"}]), "spec.template.hostAliases"),
    Case("endpoint", [".okx.com"], of_template("dnsConfig", {"nameservers": []}), "spec.template.dnsConfig"),
]
