"""The quick start's own set-up, as in a fresh clone: it must not rely on the tools of the full one."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("market-collector", "market-simulator")

pytestmark = [pytest.mark.simulator, pytest.mark.timeout(240)]  # up to two minutes of downloads


def test_set_up_of_the_quick_start_is_complete(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    done = subprocess.run(["hack/setup.sh", "programs"], cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for program in PROGRAMS:
        assert subprocess.run([clone / ".venv" / "bin" / program, "--version"], check=False).returncode == 0
