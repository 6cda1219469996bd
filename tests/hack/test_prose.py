"""The prose linter: for each rule an accepted and a refused example."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "hack" / "prose.py"


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prose", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prose"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def config(prose: ModuleType) -> Any:
    config = prose.Config.read(prose.CONFIG)
    config.references = frozenset({"README.md"})
    return config


def findings(prose: ModuleType, config: Any, path: str, source: str) -> list[tuple[str, int]]:
    return [(each.rule, each.line) for each in prose.Checker(config).check(path, source)]


def words(count: int) -> str:
    return " ".join(["word"] * count).capitalize()


# Path, accepted source, refused source, rule and line of the finding.
CASES = {
    "word in a document": ("docs/a.md", "A gap is open.\n", "\nA hole is open.\n", "word", 2),
    "phrase over two lines": ("docs/a.md", "No silent\nloss.\n", "Nothing is lost in\nsilence.\n", "word", 1),
    "word in a table": ("docs/a.md", "| gap |\n", "| hole |\n", "word", 1),
    "word in a heading": ("docs/a.md", "# Gaps\n", "# Holes\n", "word", 1),
    "name in a code span": ("docs/a.md", "It writes `repaired`.\n", "It writes repaired.\n", "word", 1),
    "code block": ("docs/a.md", "```\nhole\n```\n", "```\n```\nhole\n", "word", 3),
    "allowed context": ("docs/a.md", "Leave the pod alone.\n", "Status alone changes.\n", "word", 1),
    "path of a word": ("collector/a.py", "# Each child has it.\n", "", "", 0),
    "word in its path": ("operator/a.py", "# Each object has it.\n", "# Each child has it.\n", "word", 1),
    "message": ("a.py", 'x = "found a gap"\n', 'x = "found a hole"\n', "word", 1),
    "message in pieces": ("a.py", 'x = ("lost in a "\n  "row")\n', 'x = ("now lost in "\n  "silence")\n', "word", 1),
    "f-string": ("a.py", 'x = f"{hole} of the book"\n', 'x = f"{1} holes of a book"\n', "word", 1),
    "data is no message": ("a.py", 'x = "hole"\n', 'x = "the hole is"\n', "word", 1),
    "docstring": ("a.py", '"""Find gaps."""\n', '"""Find holes."""\n', "word", 1),
    "comment": ("a.py", 'x = "# hole"  # a gap\n', 'x = "# gap"  # a hole\n', "word", 1),
    "shell comment": ("a.sh", "x=1 # a gap\n", "x=1 # a hole\n", "word", 1),
    "shell output": ("a.sh", 'echo "wait for it"\n', 'echo "wait for ever now"\n', "word", 1),
    "chart template": ("helm/a.tpl", "# A rollout.\n", "# A roll-out.\n", "word", 1),
    "go comment": ("a.go", "// A gap.\n", "// A hole.\n", "word", 1),
    "description": ("crds/a.yaml", "description: Gaps\n", "a: 1\ndescription: >-\n  All the\n  holes\n", "word", 4),
    "schema description": ("a.schema.json", '"description": "Gaps"', '"description": "Holes"', "word", 1),
    "identifier": ("a.py", "gap_count = 1\n", "hole_count = 1\n", "name", 1),
    "camel case": ("a.py", "class OpenGap: ...\n", "class OpenHole: ...\n", "name", 1),
    "kept name": ("a.py", "gaps_repaired = 1\n", "gaps_mended = 1\n", "name", 1),
    "old class name": ("operator/a.py", "class Requeue: ...\n", "class Again: ...\n", "name", 1),
    "old name as variable": ("operator/a.py", "by = 1\n", "def by(): ...\n", "name", 1),
    "module name": ("operator/src/snapshot.py", "", "", "", 0),
    "sentence": ("docs/a.md", f"{words(25)}.\nWord.\n", f"Word.\n{words(26)}.\n", "sentence", 2),
    "sentence of a docstring": (
        "a.py",
        f'"""Do it.\n\n{words(25)}."""\n',
        f'"""Do it.\n\n{words(26)}."""\n',
        "sentence",
        3,
    ),
    "abbreviation": ("docs/a.md", f"{words(12)}.\n{words(20)}.\n", f"{words(12)}, e.g. {words(20)}.\n", "sentence", 1),
    "code span is a word": ("docs/a.md", f"{words(24)} `a b c d`.\n", f"{words(24)} a b c d.\n", "sentence", 1),
    "colons": ("docs/a.md", "One: two. Three: four.\n", "One: two; three.\n", "colons", 1),
    "paragraph of lines": ("docs/a.md", f"{words(14)}.\n" * 4, f"{words(14)}.\n" * 5, "paragraph", 1),
    "wrap": ("docs/a.md", f"{words(18)}.\n{words(18)}.\n", f"{words(18)}. A{words(18)}.\n", "wrap", 1),
    "size of the README": ("README.md", "| a\n" * 120, "| a\n" * 121, "size", 1),
    "size of a document": ("docs/a.md", "| a\n" * 750, "| a\n" * 751, "size", 1),
    "index of decisions": ("docs/decisions/README.md", "| a\n", "", "", 0),
    "decision too short": ("docs/decisions/0001-a.md", "| a\n" * 75, "| a\n" * 74, "size", 1),
    "docstring period": ("a.py", '"""Do it."""\n', '"""Do it"""\n', "docstring", 1),
    "docstring first line": ("a.py", '"""Do it.\n\nNow.\n"""\n', '"""Do it.\nNow.\n"""\n', "docstring", 1),
    "docstring clause": ("a.py", '"""Whether it is."""\n', '"""What it does."""\n', "docstring", 1),
    "reference": ("a.py", "# See README.md.\n", "# See style.md.\n", "reference", 1),
    "length of a test name": ("a.py", f"def test_{'x' * 65}(): ...\n", f"def test_{'x' * 66}(): ...\n", "test-name", 1),
    "letter in a test name": (
        "a.py",
        "def test_book_is_live(): ...\n",
        "def test_f_book_is_live(): ...\n",
        "test-name",
        1,
    ),
    "phrase in a test name": (
        "a.py",
        "def test_gap_is_open(): ...\n",
        "def test_is_lost_in_silence(): ...\n",
        "name",
        1,
    ),
    "ignore": ("a.py", "# A hole.  # prose: ignore[hole] golf\n", "# A hole.  # prose: ignore[mend] golf\n", "word", 1),
    "reason": ("a.py", "# prose: ignore[hole] golf\n# A hole.\n", "# prose: ignore[hole]\n# A hole.\n", "ignore", 1),
    "unused ignore": ("a.sh", "# Fine.\n", "# prose: ignore[hole] golf\n", "ignore", 1),
    "ignore in a document": ("docs/a.md", "<!-- prose: ignore[hole] golf -->\nA hole.\n", "A hole.\n", "word", 1),
}


@pytest.mark.parametrize(("path", "accepted"), [case[:2] for case in CASES.values()], ids=list(CASES))
def test_rule_accepts_correct_prose(prose: ModuleType, config: Any, path: str, accepted: str) -> None:
    assert findings(prose, config, path, accepted) == []


REFUSED = {name: case for name, case in CASES.items() if case[3]}


@pytest.mark.parametrize(("path", "_", "refused", "rule", "line"), list(REFUSED.values()), ids=list(REFUSED))
def test_rule_refuses_violation(
    prose: ModuleType, config: Any, path: str, _: str, refused: str, rule: str, line: int
) -> None:
    assert (rule, line) in findings(prose, config, path, refused)


@pytest.mark.parametrize(
    "path", ["operator/src/picture.py", "collector/src/sinks/leftovers.py", "tests/test_f_other.py"]
)
def test_old_module_name_is_refused(prose: ModuleType, config: Any, path: str) -> None:
    assert len(findings(prose, config, path, "")) == 1


def test_each_word_says_what_to_write_instead(prose: ModuleType, config: Any) -> None:
    found = prose.Checker(config).check("docs/a.md", "A hole.\n")
    assert [str(each) for each in found] == ['docs/a.md:1: "hole" (write gap (open, filled, lost)) [word]']


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "a.py").write_text("# A hole.\n")
    (tmp_path / "fine.md").write_text("A gap.\n")
    return tmp_path


def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def test_command_reports_the_findings_below_a_path(repository: Path) -> None:
    done = run(repository, "operator")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == 'operator/a.py:1: "hole" (write gap (open, filled, lost)) [word]\n'


def test_command_exits_0_when_the_path_is_clean(repository: Path) -> None:
    assert (run(repository, "fine.md").returncode, run(repository, "fine.md").stdout) == (0, "")


def test_summary_counts_by_directory_and_rule(repository: Path) -> None:
    assert "| operator | 1 | 1 |" in run(repository, "--summary").stdout


def test_command_refuses_a_path_that_git_does_not_list(repository: Path) -> None:
    done = run(repository, "operator/missing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("operator/missing: not a file or directory of the repository.")
