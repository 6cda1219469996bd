"""How messages count, list and shorten; a message is for people and never grows with the size of a resource."""

from collections.abc import Iterable

_NAMED = 5
_LONGEST = 300


def number(count: int, noun: str) -> str:
    """Such as `1 pod` or `2 pods`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some(items: Iterable[str]) -> str:
    """The first few of `items`, and how many more there are."""
    known = list(items)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more


def cut(text: str) -> str:
    """`text`, or its beginning."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
