"""Writes docs/spec.md, the reference of every field of the spec, from the CRD.

`hack/spec_reference.py` prints it; `make docs` writes it, and `make check-docs` fails when it is not current.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CRD = Path(__file__).parents[1] / "crds" / "marketcollectors.yaml"
INTRODUCTION = """# Spec

Every field of `spec`, generated from the CRD. `kubectl explain mcol.spec --recursive` shows the same.
[crds/samples](../crds/samples) has a sample for each use.

The API server refuses a spec that breaks one of the rules, with the rule's message. `market-collector validate` reports
the same without a cluster.
"""
Node = dict[str, Any]
# Copied from Kubernetes' own types: their reference is Kubernetes' documentation.
END = "...\n"
EXTERNAL = ("template.affinity", "template.tolerations", "template.topologySpreadConstraints", "template.volumes")


def main() -> None:
    sys.stdout.write(reference(yaml.safe_load(CRD.read_text())))


def reference(crd: Node) -> str:
    """The page as Markdown."""
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rows = [
        f"| {_path(path)} | {_type(node)} | {_default(node)} | {_cell(_text(node))} |" for path, node in fields(spec)
    ]
    rules = [f"| `{path or 'spec'}` | {_cell(rule['message'])} |" for path, rule in _rules(spec)]
    return "\n".join(
        [
            INTRODUCTION,
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
    return kind + _bounds(node)


def _bounds(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is None and high is None:
        return ""
    return f", {low} to {high}" if high is not None else f", at least {low}"


def _default(node: Node) -> str:
    if "default" not in node:
        return ""
    text = str(yaml.safe_dump(node["default"], default_flow_style=True))
    return f"`{text.removesuffix(END).strip()}`"


def _text(node: Node) -> str:
    return str(node.get("description", ""))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
