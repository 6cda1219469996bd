"""The check that each image runs when it is built: what it finds, and what it leaves alone."""

import importlib.util
import subprocess
import sys
from importlib.metadata import distribution, distributions
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


def test_setuid_programs_are_found(check: ModuleType, tmp_path: Path) -> None:
    for name, mode in (("su", 0o4755), ("wall", 0o2755), ("cat", 0o755)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("su")
    assert {path.name for path in check.setuid_programs(tmp_path)} == {"su", "wall"}


async def test_the_operators_client_answers_what_the_check_asks(check: ModuleType) -> None:
    await check.call_an_api_server()


def installed(folder: Path, name: str) -> None:
    """A package as pip installs it."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.capitalize()}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n{info.name}/METADATA,,\n")


def test_package_that_no_module_loads_is_found(check: ModuleType, tmp_path: Path) -> None:
    installed(tmp_path, "used")
    installed(tmp_path, "ballast")
    loaded = {str(tmp_path / "used" / "__init__.py")}
    assert check.never_loaded(distributions(path=[str(tmp_path)]), loaded) == {"ballast"}
    assert str(Path(pytest.__file__).resolve()) in check.loaded_files()


def test_imports_inside_of_functions_count(check: ModuleType) -> None:
    source = "import a.b as c\nfrom . import d\nfrom .e import f\ndef g():\n    from h.i import j, k\n"
    assert [*check.imported_names(source)] == ["a.b", "h.i"]


REMOVED = [line for line in (CHECK.parent / "unused-packages.txt").read_text().splitlines() if line[0] != "#"]


def test_operator_starts_without_the_packages_that_its_image_lacks() -> None:
    """As in the image, where every module is imported and an API server is called."""
    top_levels = {name for each in REMOVED for name in (distribution(each).read_text("top_level.txt") or each).split()}
    code = (
        "import sys, asyncio\n"
        f"sys.modules.update(dict.fromkeys({sorted(top_levels)}))\n"  # None: importing it is an ImportError
        f"sys.path.insert(0, {str(CHECK.parent)!r})\n"
        "from market_operator.cluster.slim_import import leave_out_synchronous_client as leave_out\n"
        "leave_out()\n"
        "import check\n"
        "check.import_all('market_operator')\n"
        "asyncio.run(check.call_an_api_server())\n"
    )
    assert len(REMOVED) == 9
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
