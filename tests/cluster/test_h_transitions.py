"""H. Transitions: from every spec to every other it ends as if made anew; from a bad one back it recovers by itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from collector_specs import SPECS

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
NAMES = list(SPECS)
KINDS = ("deployments", "services", "configmaps")
# What tells one object from another that is the same.
_INDIVIDUAL = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")


def walk(first: int) -> list[str]:
    """A way over the specs in which each step has a length of its own; all ways together go from each to each once."""
    count = len(NAMES)
    steps = [first, *(step for step in range(1, count))]
    places = [sum(steps[: number + 1]) % count for number in range(count)]
    return [NAMES[place] for place in places]
