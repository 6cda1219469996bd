"""The examples of the README, run by pytest without this repository's settings, as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from unmeasured import NOT_MEASURED

EXAMPLES = Path(__file__).parents[2] / "simulator" / "examples"


def test_readme_snippets_equal_the_files() -> None:
    snippets = re.findall(r"```python\n(.*?)```", (EXAMPLES.parent / "README.md").read_text(), re.DOTALL)
    files = [file.read_text() for file in EXAMPLES.glob("*.py")]
    assert len(snippets) == 3
    assert all(any(snippet in file for file in files) for snippet in snippets)


@pytest.mark.simulator
@pytest.mark.parametrize(("file", "tests"), [("test_nothing_is_lost.py", 1), ("test_the_book_heals.py", 4)])
def test_the_examples_work(file: str, tests: int) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "-p",
        "no:cacheprovider",
        f"--rootdir={EXAMPLES}",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **NOT_MEASURED, "PATH": path}
    run = subprocess.run([*command, EXAMPLES / file], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{tests} passed" in run.stdout
