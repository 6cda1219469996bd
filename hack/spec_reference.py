"""Prints a reference page of the spec from the CRD.

The argument is the page: `spec-sinks` has the sinks, `spec-template` the template and the labels, `spec` all other
fields. `make docs` writes the pages to docs/, and `make check-docs` fails if they are not current.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# A rule such as "must be a duration between 1s and 10m, such as 30s": the type column then has the bounds.
DURATION = re.compile(r"\b(\d+(?:ms|s|m|h)) (?:and|to) (\d+(?:ms|s|m|h))\b")
LEAST = re.compile(r"self >= (\d+)$")
CRD = Path(__file__).parents[1] / "crds" / "marketcollectors.yaml"
PAGES = {"sinks": "spec-sinks", "template": "spec-template", "commonLabels": "spec-template"}
# By field; the other fields are on the page `spec`.
INTRODUCTIONS = {
    "spec": """# Spec

The fields of `spec`, generated from the CRD. [crds/samples](../crds/samples) has samples, and
[One page](spec-sinks.md) has `spec.sinks`, and [another](spec-template.md) has `spec.template` and
`spec.commonLabels`.

The API server refuses a spec that breaks a rule. `market-collector validate` reports errors without
a cluster. Durations are strings such as 500ms, 30s or 1m30s.
""",
    "spec-sinks": """# Spec: sinks

The fields of `spec.sinks`, generated from the CRD: where records go. [sinks.md](sinks.md) explains
them, and [spec.md](spec.md) has the other fields.
""",
    "spec-template": """# Spec: template

The fields of `spec.template` and `spec.commonLabels`, generated from the CRD. They change the pods
of the collectors. [spec.md](spec.md) has all other fields.

Fields that the API server refuses by name are only in the table of rules.
""",
}
Node = dict[str, Any]
# Copied from Kubernetes' own types: their reference is Kubernetes' documentation.
END = "...\n"
EXTERNAL = ("template.affinity", "template.tolerations", "template.topologySpreadConstraints", "template.volumes")


def main() -> None:
    """Print the page that the first argument names."""
    sys.stdout.write(reference(yaml.safe_load(CRD.read_text()), sys.argv[1]))


def reference(crd: Node, page: str) -> str:
    """The page as Markdown."""
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rows = [
        f"| {_path(path)} | {_type(node)} | {_default(node)} | {_cell(_text(node))} |"
        for path, node in fields(spec)
        if _is_on(page, path) and not _text(node).startswith("Refused:")
    ]
    rules = [f"| `{path or 'spec'}` | {_cell(rule['message'])} |" for path, rule in _rules(spec) if _is_on(page, path)]
    return "\n".join(
        [
            INTRODUCTIONS[page],
            "## Fields",
            "",
            "| field | type | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "## Rules",
            "",
            "| where | rule |",
            "|---|---|",
            *dict.fromkeys(rules),
            "",
        ]
    )


def _is_on(page: str, path: str) -> bool:
    return PAGES.get(re.split(r"[.*[]", path)[0], "spec") == page


def fields(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every field below `node` with its path; required ones first."""
    required = node.get("required", ())
    for name, child in sorted(node.get("properties", {}).items(), key=lambda item: item[0] not in required):
        place = f"{path}.{name}" if path else name
        yield place + ("*" if name in required else ""), child
        if not place.startswith(EXTERNAL):
            yield from fields(child, place)
            yield from fields(child.get("items", {}), f"{place}[]")


def _rules(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    for rule in node.get("x-kubernetes-validations", ()):
        if not DURATION.search(rule["message"]) and not LEAST.match(rule["rule"]):
            yield path, rule
    for name, child in node.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from _rules(node["items"], f"{path}[]")


def _path(path: str) -> str:
    return f"`{path.rstrip('*')}`" + (" (required)" if path.endswith("*") else "")


def _type(node: Node) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = str(node.get("type", "object"))
    if kind == "array":
        return f"list of {_type(node['items'])}"
    if between := _duration(node):
        return f"duration, {between[1]} to {between[2]}"
    return kind + _bounds(node)


def _duration(node: Node) -> re.Match[str] | None:
    rules = node.get("x-kubernetes-validations", ())
    return next(filter(None, (DURATION.search(rule["message"]) for rule in rules)), None)


def _bounds(node: Node) -> str:
    low, high = node.get("minimum", _least(node)), node.get("maximum")
    if low is None and high is None:
        return ""
    return f", {low} to {high}" if high is not None else f", at least {low}"


def _least(node: Node) -> str | None:
    """The minimum of a number whose message about it is a rule's."""
    found = [LEAST.match(rule["rule"]) for rule in node.get("x-kubernetes-validations", ())]
    return next((match[1] for match in found if match), None)


def _default(node: Node) -> str:
    if "default" not in node:
        return ""
    text = str(yaml.safe_dump(node["default"], default_flow_style=True))
    return f"`{text.removesuffix(END).strip()}`"


def _text(node: Node) -> str:
    """The description without the default and "Required.", if other columns say the same."""
    text = re.sub(r"\s*Required\.(?=\s|$)", "", str(node.get("description", "")))
    return re.sub(r"\s*Default [^.;:]+\.(?=\s|$)", "", text) if "default" in node else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
