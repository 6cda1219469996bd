"""Documents: sizes, links, cited pages, and the commands, resources and programs in code blocks."""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from market_collector.__main__ import parser as collector_parser
from market_collector.config.command import validate
from market_operator.__main__ import parser as operator_parser
from market_simulator.options import BadArgumentsError
from market_simulator.options import parse as parse_simulator_arguments

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in (
        ROOT / name for name in subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()
    )
    if "recordings" not in path.parts and path.exists()
)
DECISIONS = [path for path in DOCUMENTS if path.parent.name == "decisions" and path.name != "README.md"]
GUIDES = [path for path in DOCUMENTS if path not in DECISIONS and "upgrade" not in path.parts]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
CITED = re.compile(r"(?<![\w/.:$-])((?:[\w-]+/)*[\w-]+\.md)\b(?: sections? ([\d.]+\d|\d))?")
CITING = ("*.py", "*.sh", "Makefile", "Dockerfile", "*.toml", "*.yaml", "*.tpl", "*.txt", "*.go")
# These name documents as examples or data; tests/support/recordings.py means the SOURCE.md beside each recording.
NOT_CITING = ("tests/docs/", "tests/hack/", "tests/recordings/", "hack/prose", "tests/support/recordings.py")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MAKE_SPAN = re.compile(r"^(?:[A-Z_]+=\S+ )*make ((?:[\w-]+ ?)+)$")
ASSIGNMENT = re.compile(r"^[A-Z_]+=")
OTHER_PROGRAMS = {"docker", "echo", "eval", "for", "helm", "kubectl", "pip"}
OPTIONS_OF_OTHERS = {"--build-arg", "--delete-emptydir-data", "--force-conflicts", "--take-ownership", "--wait"}


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def words(path: Path) -> int:
    return len(path.read_text().split())


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


# Sizes.


def test_readme_fits_its_limits() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 120
    assert words(ROOT / "README.md") <= 900


@pytest.mark.parametrize(
    ("document", "limit"),
    [
        ("ARCHITECTURE.md", 1500),
        ("CONTRIBUTING.md", 700),
        *((path, 1500) for path in relative(sorted((ROOT / "docs").glob("*.md")))),
    ],
)
def test_document_is_not_too_long(document: str, limit: int) -> None:
    assert words(ROOT / document) <= limit


@pytest.mark.parametrize("decision", DECISIONS, ids=relative(DECISIONS))
def test_decision_has_150_to_300_words(decision: Path) -> None:
    assert 150 <= words(decision) <= 300


def test_index_lists_every_decision() -> None:
    listed = LINK.findall((ROOT / "docs" / "decisions" / "README.md").read_text())
    assert sorted(listed) == [path.name for path in DECISIONS]


def test_changelog_describes_a_release_in_15_lines() -> None:
    first = (ROOT / "CHANGELOG.md").read_text().split("## 0.1.0\n")[1].split("\n## ")[0]
    assert len([line for line in first.splitlines() if line]) <= 15


# Links and citations.


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative(DOCUMENTS))
def test_document_links_lead_to_files_and_headings(document: Path) -> None:
    for target in LINK.findall(without_code(document.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (document.parent / place).resolve() if place else document
        assert file.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(file), f"{target} has no such heading"


def citations() -> Iterator[tuple[str, str, str]]:
    """Files that cite documents, with the name and the section that they cite."""
    lines = subprocess.check_output(["git", "grep", "-nE", r"[A-Za-z]\.md\b", "--", *CITING], cwd=ROOT, text=True)
    for line in lines.splitlines():
        file, _, text = line.split(":", 2)
        if not file.startswith(NOT_CITING):
            yield from ((file, match[1], match[2] or "") for match in CITED.finditer(text))


def cited_document(file: str, name: str) -> Path | None:
    """The document of that name: in the repository, in docs/, or beside the file that cites it."""
    candidates = (ROOT / name, ROOT / "docs" / name, (ROOT / file).parent / name)
    return next((path for path in candidates if path.exists()), None)


def test_no_file_has_the_markers_of_a_conflict() -> None:
    found = subprocess.run(
        ["git", "grep", "-nE", "^(<{7}|>{7}) "], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def test_code_cites_only_documents_that_exist() -> None:
    cited = sorted(set(citations()))
    assert cited
    assert [f"{file} cites {name}" for file, name, _ in cited if cited_document(file, name) is None] == []


def test_code_cites_only_sections_that_exist() -> None:
    cited = [(file, name, section) for file, name, section in set(citations()) if section]
    assert cited
    for file, name, section in cited:
        page = cited_document(file, name)
        assert page is not None
        assert re.search(rf"^#+ {re.escape(section)}\.? ", page.read_text(), re.MULTILINE), f"{file}: {name} {section}"


# Code blocks.


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for document in GUIDES:
        for number, (kind, text) in enumerate(BLOCK.findall(document.read_text())):
            if kind == language:
                yield f"{document.relative_to(ROOT)}#{number}", text


# tests/simulator/test_examples.py runs the excerpts in the simulator's README, test_reading.py those that read files.
ELSEWHERE = ("simulator/", "docs/reading.md")
PYTHON = [(name, text) for name, text in blocks("python") if not name.startswith(ELSEWHERE)]
YAML, CONSOLE = (list(blocks(kind)) for kind in ("yaml", "console"))


@pytest.mark.parametrize("text", [text for _, text in YAML], ids=[name for name, _ in YAML])
def test_resource_in_document_is_valid(text: str, tmp_path: Path) -> None:
    assert yaml.safe_load(text)["kind"] == "MarketCollector"
    file = tmp_path / "resource.yaml"
    file.write_text(text)
    assert validate([str(file)]) == 0


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a console block, split at pipes, without comments and environment variables."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            for command in line[2:].split(" | "):
                parts = shlex.split(command, comments=True)
                while parts and ASSIGNMENT.match(parts[0]):
                    parts.pop(0)
                yield parts


COMMANDS = [(name, command) for name, text in CONSOLE for command in commands(text)]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[f"{name} {' '.join(each)}" for name, each in COMMANDS])
def test_command_in_document_exists_with_its_options(name: str, command: list[str]) -> None:
    match command[0]:
        case "make":
            assert {word for word in command[1:] if not word.startswith("-")} <= TARGETS
        case "market-collector":
            accept(collector_parser(), command[1:])
        case "market-operator":
            accept(operator_parser(), command[1:])
        case "market-simulator":
            accept_simulator(command[1:])
        case program:
            assert program in OTHER_PROGRAMS
    for word in command:
        if word.startswith(("crds/", "helm/", "./", "examples/")):
            assert (ROOT / word.split("[")[0]).exists(), word


def accept(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    try:
        parser.parse_args(arguments)
    except SystemExit:
        pytest.fail(f"{parser.prog} does not accept {' '.join(arguments)}")


def accept_simulator(arguments: list[str]) -> None:
    try:
        parse_simulator_arguments(arguments)
    except (SystemExit, BadArgumentsError) as error:
        pytest.fail(f"market-simulator does not accept {' '.join(arguments)}: {error}")


def spans(documents: list[Path]) -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(ROOT)), span)
        for path in documents
        for span in SPAN.findall(re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE))
    ]


def test_make_targets_in_sentences_exist() -> None:
    named = [(file, match[1].split()) for file, span in spans(DOCUMENTS) if (match := MAKE_SPAN.match(span))]
    assert named
    assert [(file, targets) for file, targets in named if not set(targets) <= TARGETS] == []


def test_options_in_sentences_exist() -> None:
    ours = options(collector_parser()) | options(operator_parser()) | simulator_options() | OPTIONS_OF_OTHERS
    named = [(file, span.split()[0]) for file, span in spans(GUIDES) if span.startswith("--")]
    assert named
    assert [(file, option) for file, option in named if option not in ours] == []


def options(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser and of its commands."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {option for command in action.choices.values() for option in options(command)}
    return found


def simulator_options() -> set[str]:
    """The options that `market-simulator serve --help` prints."""
    command = [sys.executable, "-m", "market_simulator", "serve", "--help"]
    return set(re.findall(r"--[\w-]+", subprocess.check_output(command, text=True)))


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
