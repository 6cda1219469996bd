"""helm for every test of the chart; a cluster for those marked `cluster`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from kube import CHART, Document, Tools, tools_with, tools_with_cluster

Render = Callable[..., list[Document]]


@pytest.fixture(scope="session")
def helm() -> Tools:
    return tools_with("helm")


@pytest.fixture(scope="session")
def cluster() -> Tools:
    return tools_with_cluster()


@pytest.fixture(scope="session")
def render(helm: Tools) -> Render:
    """Renders the chart as release `market-operator` in namespace `markets` with `--set-json` settings."""

    def rendered(*settings: str, release: str = "market-operator", namespace: str = "markets") -> list[Document]:
        flags = [flag for setting in settings for flag in ("--set-json", setting)]
        text = helm.helm("template", release, str(CHART), "--namespace", namespace, *flags)
        return [document for document in yaml.safe_load_all(text) if document]

    return rendered


@pytest.fixture(scope="session")
def chart() -> str:
    return str(CHART)
