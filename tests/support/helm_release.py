"""A user's chart with one MarketCollector, and `helm --wait` on it."""

import subprocess
from pathlib import Path
from typing import Any

import yaml


def write_chart(folder: Path, manifest: dict[str, Any]) -> Path:
    """Write a chart with `manifest`."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: mine\nversion: 0.1.0\n")
    (chart / "templates/resource.yaml").write_text(yaml.safe_dump(manifest))
    return chart


class Release:
    """A running `helm install --wait` or upgrade."""

    def __init__(self, action: str, chart: Path, namespace: str, seconds: int) -> None:
        command = ["helm", action, "mine", str(chart), "--namespace", namespace, "--wait", "--timeout", f"{seconds}s"]
        self._log = chart.parent / f"{action}.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def is_waiting(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ends(self) -> tuple[int, str]:
        """Its exit code and output."""
        return self._process.wait(timeout=150), self._log.read_text()
