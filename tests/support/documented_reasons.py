"""The table of reasons in docs/status.md."""

import re
from functools import cache
from pathlib import Path

_DOCUMENT = Path(__file__).parents[2] / "docs/status.md"


@cache
def documented() -> dict[str, tuple[frozenset[str], str]]:
    """The conditions and the description of each reason."""
    section = _DOCUMENT.read_text().split("## Reasons")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    return {reason: (frozenset(users.split(", ")), text) for reason, users, text in rows}
