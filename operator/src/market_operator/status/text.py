"""Formats numbers and lists in messages. A message stays short however large a resource is."""

from collections.abc import Iterable

from market_spec.messages import escaped

_NAMED = 5
_LONGEST = 300
# The API server allows 32,768 characters in a condition.
_LONGEST_MESSAGE = 2_000


def listed(items: Iterable[str]) -> str:
    """The first five `items` and the number of the others."""
    known = list(items)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more


def shortened(text: str, longest: int = _LONGEST) -> str:
    """`text`, cut to 300 or `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def message(text: str) -> str:
    """`text` as the message of a condition, cut to 2,000 characters. It may quote pods, so it is escaped."""
    return shortened(escaped(text), _LONGEST_MESSAGE)
