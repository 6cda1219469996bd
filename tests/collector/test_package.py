"""The package's front door: the Python API on demand, and a collecting process that never sees it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import market_collector
from market_collector import api
from market_collector.exchanges import EXCHANGES

REPOSITORY = Path(__file__).parents[2]
TABLES = ("polars", "pandas", "numpy")
TOO_BIG = ("pydantic", "market_collector.api", "market_collector.reading", "aiohttp", "kubernetes", "pyarrow", *TABLES)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)


def loaded(code: str) -> list[str]:
    """Big modules that are loaded after the code has run."""
    done = python(f"import json, sys\n{code}\nprint(json.dumps([name for name in {TOO_BIG} if name in sys.modules]))")
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_importing_the_package_costs_nothing() -> None:
    assert loaded("import market_collector") == []


def test_a_name_of_the_api_loads_it() -> None:
    assert loaded("from market_collector import DataType") == ["market_collector.api"]


def test_the_collecting_process_does_not_load_it(tmp_path: Path) -> None:
    """Run the process without an exchange until SIGTERM."""
    spec = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade", "orderbook"]}
    nowhere = {"websocket": "ws://127.0.0.1:9", "rest": "http://127.0.0.1:9"}
    document = {"contract": 1, "name": "okx", "namespace": "x", "shard": 0}
    file = tmp_path / "collector.json"
    file.write_text(json.dumps(document | {"spec": spec | {"connection": {"endpoint": nowhere}}}))
    code = f"""
import os, signal, threading, time
from market_collector.__main__ import main
def stop():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=stop).start()
assert main(["run", "-f", {str(file)!r}, "--http", "127.0.0.1:0"]) == 0
assert "market_collector.net.supervisor" in sys.modules
"""
    assert loaded(code) == []


def test_all_names_can_be_imported() -> None:
    assert [name for name in market_collector.__all__ if not hasattr(market_collector, name)] == []
    assert set(market_collector.__all__) == set(api.__all__)
    assert set(market_collector.__all__) <= set(dir(market_collector))
    assert market_collector.__version__


def test_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'market_collector' has no attribute 'Nothing'"):
        _ = market_collector.Nothing


def test_reading_loads_no_library_for_tables() -> None:
    assert loaded("import market_collector.reading") == ["market_collector.reading"]


def test_libraries_for_tables_are_extras() -> None:
    project = tomllib.loads((REPOSITORY / "collector" / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == {"polars", "pandas"}
    assert not [each for each in project["dependencies"] if each.startswith(TABLES)]


def test_the_api_needs_no_pydantic() -> None:
    done = python("import sys; sys.modules['pydantic'] = None\nfrom market_collector import DataType")
    assert done.returncode == 0, done.stderr


def test_a_pod_does_not_load_the_template_of_pods() -> None:
    """It would cost each collector 0.2 MB."""
    done = python("import sys, market_collector.app; sys.exit('market_spec.template' in sys.modules)")
    assert done.returncode == 0


def test_the_collectors_image_does_not_get_pydantic() -> None:
    pins = (REPOSITORY / "requirements" / "collector.txt").read_text()
    assert "msgspec==" in pins
    assert "pydantic" not in pins


def test_only_the_collected_exchange_is_loaded() -> None:
    """A package takes 3 ms and 0.5 MB."""
    code = "import sys, market_collector.app as app; app.EXCHANGES['okx']; print(*sys.modules)"
    done = python(code)
    found = {name.split(".")[2] for name in done.stdout.split() if name.startswith("market_collector.exchanges.")}
    assert "okx" in found
    assert not found & (set(EXCHANGES) - {"okx"})
