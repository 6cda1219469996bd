"""The check that each image runs when it is built: what it finds, and what it leaves alone."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

CHECK = Path(__file__).parents[2] / "hack" / "image" / "check.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_check", CHECK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_installs_or_compiles_is_found_wherever_it_lies(check: ModuleType, tmp_path: Path) -> None:
    unwanted = [
        "usr/bin/gcc",
        "usr/bin/x86_64-linux-gnu-gcc-12",
        "usr/bin/as",
        "usr/local/bin/pip3.13",
        "opt/venv/bin/pip",
        "usr/share/python-wheels/pip-23.0.1-py3-none-any.whl",
        "opt/venv/lib/python3.13/site-packages/pip/__init__.py",
        "usr/lib/python3.11/ensurepip/__init__.py",
    ]
    innocent = [
        "usr/bin/python3",
        "usr/bin/cat",
        "usr/bin/base64",
        "opt/venv/bin/market-operator",
        "usr/share/doc/gcc",
        "opt/venv/lib/python3.13/site-packages/pipeline/go.py",
    ]
    for name in (*unwanted, *innocent):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {str(path.relative_to(tmp_path)) for path in check.intruders(tmp_path)}
    assert found == {name.removesuffix("/__init__.py") for name in unwanted}


async def test_the_operators_client_answers_what_the_check_asks(check: ModuleType) -> None:
    await check.call_an_api_server()
