"""Run in each image when it is built: `check.py market_operator`. What it finds ends the build.

An image has no pip, no compiler and no setuid program. The operator's lacks most of the Kubernetes client (Dockerfile),
so everything is imported, and real calls are made. What is not loaded then is never used: such a package only adds
advisories.
"""

import ast
import asyncio
import importlib
import json
import os
import pkgutil
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import Distribution, distributions
from pathlib import Path

COMPILERS = r"(.+-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|as|ld|make|rustc|cargo|go)[\d.]*(-[\d.]+)?"
INSTALLERS = r"(pip|ensurepip|easy_install|uv)[\d.]*"
NOT_WANTED = re.compile(rf"{COMPILERS}|{INSTALLERS}|pip-.*\.whl")
PROGRAMS = {
    "market_operator": ("market-operator", "version"),
    "market_collector": ("market-collector", "exchanges"),
    "market_simulator": ("market-simulator", "--help"),
}
ELSEWHERE = ("/proc", "/sys", "/dev", "/mnt")
MAY_BE_UNUSED: dict[str, str] = {}
"""Installed packages that are not loaded, by name with the reason. There are none."""


def main(package: str) -> None:
    found = sorted(intruders(Path("/")))
    if found:
        sys.exit(f"the image holds what installs or compiles: {', '.join(map(str, found))}")
    if raising := sorted(setuid_programs(Path("/"))):
        sys.exit(f"the image has programs that run as another user: {', '.join(map(str, raising))}")
    if package == "market_operator":
        from market_operator.cluster.slim_import import leave_out_synchronous_client

        leave_out_synchronous_client()
    import_all(package)
    program, argument = PROGRAMS[package]
    for command in ((program,), (sys.executable, "-I", "-u", "-B", "-m", package)):
        subprocess.run((*command, argument), check=True)  # noqa: S603 - ours
    if package == "market_operator":
        asyncio.run(call_an_api_server())
    if unused := sorted(never_loaded(distributions(), loaded_files()) - MAY_BE_UNUSED.keys()):
        sys.exit(
            f"no module of these packages is loaded: {', '.join(unused)}. Add them to hack/image/unused-packages.txt"
        )


def import_all(package: str) -> None:
    """Import each module of a package, and all that its functions import later, such as a parser of YAML."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        importlib.import_module(module.name)
    for file in [file for folder in path for file in Path(folder).rglob("*.py")]:
        for name in imported_names(file.read_text()):
            with suppress(ImportError):  # names that only type checkers need
                importlib.import_module(name)


def imported_names(source: str) -> Iterator[str]:
    """Yield the absolute names of the modules that a source imports anywhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def loaded_files() -> set[str]:
    """The files of all modules that are loaded."""
    return {str(Path(file).resolve()) for each in [*sys.modules.values()] if (file := getattr(each, "__file__", None))}


def never_loaded(installed: Iterable[Distribution], files: set[str]) -> set[str]:
    """Names of installed packages of which no file is loaded."""
    return {
        each.metadata["Name"].lower()
        for each in installed
        if not any(str(Path(str(each.locate_file(file))).resolve()) in files for file in each.files or ())
    }


def intruders(root: Path) -> Iterator[Path]:
    """Yield everything that installs or compiles: programs, and Python packages as folders or wheels."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if str(here) in ELSEWHERE:
            folders.clear()
        programs = files if here.name in ("bin", "sbin") else [name for name in files if name.endswith(".whl")]
        packages = folders if "python3" in folder else ()
        yield from (here / name for name in (*programs, *packages) if NOT_WANTED.fullmatch(name))


def setuid_programs(root: Path) -> Iterator[Path]:
    """Yield the files that run with another user or group than their caller's."""
    for folder, folders, files in os.walk(root):
        if folder in ELSEWHERE:
            folders.clear()
            continue
        paths = [Path(folder) / name for name in files]
        yield from (
            path for path in paths if not path.is_symlink() and path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
        )


class NothingIsThere(BaseHTTPRequestHandler):
    """An API server without a single object."""

    def do_GET(self) -> None:
        """Lists end with an s, as all plural names do."""
        is_list = self.path.split("?")[0].endswith("s")
        body = {"metadata": {"resourceVersion": "1"}, "items": []} if is_list else {"kind": "Status", "code": 404}
        self.send_response(200 if is_list else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


async def call_an_api_server() -> None:
    """A listing that is answered, and an object that is not there, through the operator's own client."""
    from kubernetes.aio.client.configuration import Configuration

    from market_operator.cluster.client import Cluster
    from market_operator.resource.naming import Key

    with HTTPServer(("127.0.0.1", 0), NothingIsThere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cluster = Cluster(Configuration(host=f"http://127.0.0.1:{server.server_port}"), None)
        try:
            assert await cluster.read(Key("a", "b")) is None
            assert [page.items async for page in cluster.keys(None)] == [[]]
        finally:
            await cluster.close()
            server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
