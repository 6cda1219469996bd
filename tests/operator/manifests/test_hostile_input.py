"""Whatever a user may write, it reaches no shell, no path of ours and no template: it stays data in its place."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from market_operator.desired import desired
from market_operator.fields import DIRECTORY_PATTERN, is_below
from market_operator.resource import Document, read_resource
from market_operator.settings import Traffic
from market_operator.volumes import RELATIVE_PATTERN

SYMBOL = "^[A-Z0-9]+(-[A-Z0-9]+)+$"
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
    *("--state-dir", "/var/lib/market-collector", "--log-format", "json"),
]
OURS = ("/etc/market-collector", "/var/lib/market-collector")


def matching(pattern: str, longest: int) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= longest)


FREE = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
NAMES = matching("[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", 63)
DIRECTORIES = matching(DIRECTORY_PATTERN.strip("^$"), 255).map(lambda path: f"/data{path}")
KEYS = st.one_of(NAMES, st.sampled_from(HOSTILE))
TEMPLATES = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(KEYS, FREE.map(lambda text: text[:63]), max_size=3),
        "annotations": st.dictionaries(KEYS, FREE, max_size=3),
        "env": st.lists(
            st.fixed_dictionaries({"name": matching("X[A-Za-z0-9_]*", 40), "value": FREE}),
            max_size=3,
            unique_by=lambda e: e["name"],
        ),
        "image": matching(r"[^\s]+", 60),
        "nodeSelector": st.dictionaries(KEYS, FREE.map(lambda text: text[:63]), max_size=2),
        "tolerations": st.lists(st.dictionaries(KEYS, FREE, max_size=2), max_size=2),
        "volumes": st.lists(
            st.fixed_dictionaries(
                {
                    "name": NAMES.map(lambda name: f"v{name}"[:63]),
                    "secret": st.fixed_dictionaries({"secretName": NAMES}),
                }
            ),
            max_size=2,
            unique_by=lambda volume: volume["name"],
        ),
    },
)
SPECS = st.fixed_dictionaries(
    {
        "exchange": st.just("okx"),
        "symbols": st.lists(
            matching(SYMBOL.strip("^$"), 40).filter(lambda s: len(s) > 2), min_size=1, max_size=4, unique=True
        ),
        "dataTypes": st.just(["trade"]),
        "sinks": st.lists(
            st.fixed_dictionaries(
                {"name": NAMES, "type": st.just("file"), "file": st.fixed_dictionaries({"directory": DIRECTORIES})}
            ),
            min_size=1,
            max_size=2,
            unique_by=(lambda sink: sink["name"], lambda sink: sink["file"]["directory"]),
        ),
        "template": TEMPLATES,
    }
)


def built(name: str, spec: Document) -> list[Document]:
    meta = {"name": name, "namespace": "md", "uid": "u", "resourceVersion": "1"}
    return list(desired(read_resource({"metadata": meta, "spec": spec}), "image", Traffic()).children)


@settings(max_examples=50)
@given(name=NAMES, spec=SPECS)
def test_no_word_of_a_user_is_in_a_command_or_leads_to_a_path_of_ours(name: str, spec: Document) -> None:
    pod = built(name, spec)[-1]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"] == ARGUMENTS
    assert not {"command", "lifecycle", "envFrom"} & set(container)
    assert not {"initContainers", "hostNetwork", "hostPID", "hostIPC"} & set(pod)
    ours, others = container["volumeMounts"][:2], container["volumeMounts"][2:]
    assert [mount["mountPath"] for mount in ours] == [*OURS]
    assert [mount["mountPath"] for mount in others] == [sink["file"]["directory"] for sink in spec["sinks"]]
    assert not [mount for mount in others if any(is_below(mount["mountPath"], taken) for taken in OURS)]
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"configMap", "emptyDir", "secret"}
    assert {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}.items() <= pod[
        "securityContext"
    ].items()


@settings(max_examples=50)
@given(name=NAMES, spec=SPECS)
def test_what_a_user_writes_comes_out_as_it_was_written(name: str, spec: Document) -> None:
    children = built(name, spec)
    assert json.loads(json.dumps(children)) == children
    config = json.loads(next(child for child in children if child["kind"] == "ConfigMap")["data"]["collector.json"])
    assert config["spec"]["symbols"] == sorted(spec["symbols"])
    assert [sink["file"] for sink in config["spec"]["sinks"]] == [sink["file"] for sink in spec["sinks"]]
    given_env = {each["name"]: each["value"] for each in spec["template"].get("env", ())}
    container = children[-1]["spec"]["template"]["spec"]["containers"][0]
    assert {each["name"]: each["value"] for each in container["env"] if "value" in each} == given_env
    assert "template" not in config["spec"], "and nothing of it goes to the collector"


def test_a_path_inside_a_volume_never_climbs_out() -> None:
    climbing = (*HOSTILE, "..", "a/..", "/a", "a/../../b", "a\n")
    assert [text for text in climbing if re.fullmatch(RELATIVE_PATTERN.strip("^$"), text)] == []
