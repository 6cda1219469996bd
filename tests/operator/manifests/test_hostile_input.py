"""User input reaches no shell, no path of the operator and no template. It stays data."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from market_operator.manifests.build import build_desired_state
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.resource.document import Document, read_resource
from market_spec.fields import is_below
from market_spec.volumes import RELATIVE_PATTERN

HOSTILE = [
    "$(reboot)",
    "`id`",
    "; rm -rf /",
    "${POD_UID}",
    "$(POD_UID)",
    "{{ .Values.x }}",
    "%s",
    "\n- --x",
    "\x00",
    "../..",
    "'\"\\",
]
ARGUMENTS = [
    *("run", "-f", "/etc/market-collector/collector.json", "--http", "0.0.0.0:8080"),
    *("--state-dir", "/var/lib/market-collector", "--handover", "/etc/market-collector-handover/handover.json"),
    *("--log-format", "json"),
]
OURS = ("/etc/market-collector", "/var/lib/market-collector", "/etc/market-collector-handover")


def matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(fields)


FREE = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
NAMES = matching("[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?")
KEYS = st.one_of(NAMES, st.sampled_from(HOSTILE))
WORDS = st.dictionaries(KEYS, FREE, max_size=2)
ENV = record(name=matching("X[A-Za-z0-9_]{0,9}"), value=FREE)
VOLUME = record(name=NAMES.map(lambda name: f"v{name}"), secret=record(secretName=NAMES))
TEMPLATES: st.SearchStrategy[Document] = st.fixed_dictionaries(
    {},
    optional={
        "labels": WORDS,
        "annotations": WORDS,
        "env": st.lists(ENV, max_size=2, unique_by=lambda each: str(each["name"])),
        "image": matching(r"[^\s]{1,20}"),
        "nodeSelector": WORDS,
        "tolerations": st.lists(WORDS, max_size=2),
        "volumes": st.lists(VOLUME, max_size=2, unique_by=lambda each: str(each["name"])),
    },
)
SINKS = record(
    name=NAMES,
    type=st.just("file"),
    file=record(directory=matching("/data(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,9}){1,3}")),
)
SPECS = record(
    exchange=st.just("okx"),
    symbols=st.lists(matching("[A-Z0-9]{1,9}-[A-Z0-9]{1,9}"), min_size=1, max_size=3, unique=True),
    dataTypes=st.just(["trade"]),
    sinks=st.lists(SINKS, min_size=1, max_size=1),
    template=TEMPLATES,
)


def built(name: str, spec: Document) -> list[Document]:
    meta = {"name": name, "namespace": "md", "uid": "u", "resourceVersion": "1"}
    return list(build_desired_state(read_resource({"metadata": meta, "spec": spec}), "image", NetworkRules()).children)


@settings(max_examples=50)
@given(name=NAMES, spec=SPECS)
def test_user_input_reaches_no_command_and_no_path_of_the_operator(name: str, spec: Document) -> None:
    pod = built(name, spec)[-1]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"] == ARGUMENTS
    assert not {"command", "lifecycle", "envFrom"} & set(container)
    assert not {"initContainers", "hostNetwork", "hostPID", "hostIPC"} & set(pod)
    ours, others = container["volumeMounts"][:3], container["volumeMounts"][3:]
    assert [mount["mountPath"] for mount in ours] == [*OURS]
    assert [mount["mountPath"] for mount in others] == [sink["file"]["directory"] for sink in spec["sinks"]]
    assert not [mount for mount in others if any(is_below(mount["mountPath"], taken) for taken in OURS)]
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"configMap", "emptyDir", "secret"}
    assert {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}.items() <= pod[
        "securityContext"
    ].items()


@settings(max_examples=50)
@given(name=NAMES, spec=SPECS)
def test_user_input_is_passed_on_unchanged(name: str, spec: Document) -> None:
    children = built(name, spec)
    assert json.loads(json.dumps(children)) == children
    config = json.loads(next(child for child in children if child["kind"] == "ConfigMap")["data"]["collector.json"])
    assert config["spec"]["symbols"] == sorted(spec["symbols"])
    assert [sink["file"] for sink in config["spec"]["sinks"]] == [sink["file"] for sink in spec["sinks"]]
    given_env = {each["name"]: each["value"] for each in spec["template"].get("env", ())}
    container = children[-1]["spec"]["template"]["spec"]["containers"][0]
    assert {each["name"]: each["value"] for each in container["env"] if "value" in each} == given_env
    assert "template" not in config["spec"], "and nothing of it goes to the collector"


def test_path_inside_a_volume_cannot_leave_it() -> None:
    climbing = (*HOSTILE, "..", "a/..", "/a", "a/../../b", "a\n")
    assert [text for text in climbing if re.fullmatch(RELATIVE_PATTERN.strip("^$"), text)] == []
