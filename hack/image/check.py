"""Run in each image when it is built: `check.py market_operator`. What it finds ends the build.

An image has neither pip nor a compiler. The operator's lacks most of the Kubernetes client (Dockerfile), so everything
is imported, and real calls are made.
"""

import asyncio
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
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


def main(package: str) -> None:
    found = sorted(intruders(Path("/")))
    if found:
        sys.exit(f"the image holds what installs or compiles: {', '.join(map(str, found))}")
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)
    subprocess.run(PROGRAMS[package], check=True)  # noqa: S603 - ours
    if package == "market_operator":
        asyncio.run(call_an_api_server())


def intruders(root: Path) -> Iterator[Path]:
    """Yield everything that installs or compiles: programs, and Python packages as folders or wheels."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if str(here) in ELSEWHERE:
            folders.clear()
        programs = files if here.name in ("bin", "sbin") else [name for name in files if name.endswith(".whl")]
        packages = folders if "python3" in folder else ()
        yield from (here / name for name in (*programs, *packages) if NOT_WANTED.fullmatch(name))


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
