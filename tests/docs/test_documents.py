"""Documents: links lead somewhere, cited pages exist, and commands, resources and programs in code blocks work."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from market_collector.__main__ import parser as collector_parser
from market_collector.config.command import validate
from market_operator.__main__ import parser as operator_parser

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in (
        ROOT / name for name in subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()
    )
    if "recordings" not in path.parts and path.exists()
)
GUIDES = [path for path in DOCUMENTS if path.parent in (ROOT, ROOT / "docs", ROOT / "docs" / "exchanges")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Code cites documents by these paths.
CITED = re.compile(r"\b((?:docs/[\w/-]+|README|CONTRIBUTING|ARCHITECTURE|CHANGELOG)\.md)\b")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_document_links_lead_to_files_and_headings(document: Path) -> None:
    for target in LINK.findall(without_code(document.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (document.parent / place).resolve() if place else document
        assert file.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(file), f"{target} has no such heading"


def test_code_cites_only_documents_that_exist() -> None:
    command = [
        "git",
        "grep",
        "-nE",
        r"[A-Za-z/_-]+\.md\b",
        "--",
        "*.py",
        "*.sh",
        "Makefile",
        "Dockerfile",
        "*.toml",
        "*.yaml",
        ":!tests/hack/test_prose.py",  # its examples
    ]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    cited = {(line.split(":", 2)[0], name) for line in lines for name in CITED.findall(line)}
    assert cited
    assert [f"{file} cites {name}" for file, name in sorted(cited) if not (ROOT / name).exists()] == []


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for document in GUIDES:
        for number, (kind, text) in enumerate(BLOCK.findall(document.read_text())):
            if kind == language:
                yield f"{document.relative_to(ROOT)}#{number}", text


YAML, CONSOLE, PYTHON = (list(blocks(kind)) for kind in ("yaml", "console", "python"))


@pytest.mark.parametrize("text", [text for _, text in YAML], ids=[name for name, _ in YAML])
def test_resource_in_document_is_valid(text: str, tmp_path: Path) -> None:
    assert yaml.safe_load(text)["kind"] == "MarketCollector"
    file = tmp_path / "resource.yaml"
    file.write_text(text)
    assert validate([str(file)]) == 0


def commands(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    return [line[2:].split("  #")[0] for line in joined.splitlines() if line.startswith("$ ")]


COMMANDS = [(name, command) for name, text in CONSOLE for command in commands(text)]


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_command_in_document_exists_with_its_options(name: str, command: str) -> None:
    words = command.split(" | ")[0].split()
    match words[0]:
        case "make":
            assert set(words[1:]) <= TARGETS
        case "market-collector":
            accept(collector_parser(), words[1:])
        case "market-operator":
            accept(operator_parser(), words[1:])
        case _:
            # Programs of others: the files that they name must be there.
            for word in words:
                if word.startswith(("crds/", "helm/", "./", "examples/")):
                    assert (ROOT / word).exists(), word


def accept(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    try:
        parser.parse_args(arguments)
    except SystemExit:
        pytest.fail(f"{parser.prog} does not accept {' '.join(arguments)}")


@pytest.mark.simulator
@pytest.mark.parametrize("text", [text for _, text in PYTHON], ids=[name for name, _ in PYTHON])
def test_program_in_document_runs_against_the_simulator(text: str, tmp_path: Path) -> None:
    from simulator_process import simulator

    (tmp_path / "config").mkdir()
    with simulator("--market", "7", "--symbols", "BTC-USDT", "--rate", "50", "--start", "now") as exchange:
        addresses = f'{{"websocket_endpoint": "{exchange.websocket}", "rest_endpoint": "{exchange.rest}"}}'
        (tmp_path / "config" / "okx_config.json").write_text(addresses)
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "BTC-USDT" in done.stdout
