"""The entry points of the images run the image's own code, whatever variables the container has."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCKERFILE = (Path(__file__).parents[2] / "Dockerfile").read_text()
PYTHON = "/opt/venv/bin/python3"
ENTRY_POINTS: dict[str, list[str]] = {
    target: json.loads(command)
    for target, command in re.findall(r"^FROM run AS (\w+)\n(?:.+\n)*?ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
}


@pytest.mark.parametrize(("target", "argument"), [("operator", "version"), ("collector", "exchanges")])
def test_entry_point_ignores_code_from_the_environment(target: str, argument: str, tmp_path: Path) -> None:
    """As from a ConfigMap that is mounted into the image's container. PATH is one of the variables, too."""
    for name in ("sitecustomize.py", "argparse.py", "json.py", "asyncio.py"):
        (tmp_path / name).write_text("print('foreign code')")
    (tmp_path / "python3").symlink_to("/bin/echo")
    interpreter, *options = ENTRY_POINTS[target]
    assert interpreter == PYTHON
    hostile = {"PYTHONPATH": str(tmp_path), "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error", "PATH": str(tmp_path)}
    environment = {**os.environ, **hostile}
    ran = subprocess.run(
        [sys.executable, *options, argument], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "foreign code" not in ran.stdout


@pytest.mark.parametrize("target", ["operator", "collector"])
def test_entry_point_writes_at_once_and_compiles_nothing(target: str) -> None:
    """PYTHONUNBUFFERED and PYTHONDONTWRITEBYTECODE of the image are ignored as well."""
    program = "import sys; print(sys.flags.dont_write_bytecode, sys.stdout.write_through, sys.flags.isolated)"
    options = ENTRY_POINTS[target][1:]
    ran = subprocess.check_output([sys.executable, *options[: options.index("-m")], "-c", program], text=True)
    assert ran.split() == ["1", "True", "1"]
