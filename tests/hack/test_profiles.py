"""Property tests: a fixed budget in CI, and a failure that anybody can repeat."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FAILING = """
from hypothesis import given, strategies as st

@given(st.text(), st.integers())
def test_property(text, number):
    assert len(text) < 3 or number < 1_000
"""
COUNTED = """
import pytest
from hypothesis import given, strategies as st

examples = []

@given(st.integers())
def test_property(number):
    examples.append(number)

def test_budget():
    assert len(examples) == 100
"""


def run(folder: Path, test: str, *options: str, **environment: str) -> str:
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (folder / "test_one.py").write_text(test)
    clean = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={folder}",
        *options,
        "test_one.py",
    ]
    path = os.pathsep.join([str(TESTS / "support"), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**clean, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return ran.stdout


@pytest.mark.parametrize("environment", [{"CI": "1"}, {}], ids=["CI", "local"])
def test_failure_prints_what_repeats_it(tmp_path: Path, environment: dict[str, str]) -> None:
    output = run(tmp_path, FAILING, **environment)
    (decorator,) = set(re.findall(r"@(reproduce_failure\('.+', b'.+'\))", output))
    repeated = FAILING.replace("import given", "import given, reproduce_failure").replace(
        "@given", f"@{decorator}\n@given"
    )
    assert "1 failed" in run(tmp_path, repeated, **environment)


def test_ci_has_a_fixed_budget_of_examples(tmp_path: Path) -> None:
    assert "2 passed" in run(tmp_path, COUNTED, CI="1")


def test_ci_uses_the_same_examples_each_time(tmp_path: Path) -> None:
    runs = [run(tmp_path, COUNTED.replace("== 100", "== examples"), CI="1") for _ in range(2)]
    assert all("examples = [" in each or "assert 100 == [" in each for each in runs)
    first, second = (re.findall(r"assert 100 == (.+)", each) for each in runs)
    assert first == second != []


def test_fuzz_run_prints_its_seed_and_keeps_its_budget(tmp_path: Path) -> None:
    """The stage of hack/test.sh, with its options on a test of a known budget."""
    script = (TESTS.parent / "hack" / "test.sh").read_text()
    stage = script.split("\nfuzz() {")[1].split("\n}")[0]
    assert 'echo "SEED=$seed hack/test.sh fuzz repeats this run"' in stage
    options = re.findall(r"--hypothesis-\S+", stage.replace('"$seed"', "7"))
    assert options == ["--hypothesis-profile=fuzz", "--hypothesis-seed=7"]
    budget = COUNTED.replace("100", "12").replace("examples.append", "print(number); examples.append")
    other = [*options[:1], "--hypothesis-seed=8"]
    first, again, different = (
        run(tmp_path, budget, *each, "-s", CI="1", EXAMPLES="12").partition(" passed")[0]
        for each in (options, options, other)
    )
    assert first.endswith("\n2")
    assert first == again != different
