"""Builders of snapshots."""

from collections.abc import Callable

import pytest

from market_operator.resource.document import Resource
from status_scenes import Make, Scene


@pytest.fixture
def scene(resource: Callable[..., Resource], pod: Make, report: Make, pod_document: Make) -> Scene:
    """A resource whose snapshots a test builds."""
    return Scene(resource, pod, report, pod_document)
