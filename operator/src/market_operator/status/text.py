"""Formats numbers and lists in messages. A message stays short however large a resource is."""

from collections.abc import Iterable

_NAMED = 5
_LONGEST = 300


def listed(items: Iterable[str]) -> str:
    """The first five `items` and the number of the others."""
    known = list(items)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more


def shortened(text: str) -> str:
    """`text`, cut to 300 characters."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
