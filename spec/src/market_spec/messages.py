"""The wording of messages about values: one form for the operator, `validate` and the Python API."""

import json
from collections.abc import Sequence
from typing import Any

Path = tuple[str | int, ...]
"""Where a value is: ``("spec", "dataTypes", 1)``."""

LONGEST_VALUE = 60


def escaped(text: str) -> str:
    """Escape control characters, direction marks and lone surrogates (``\\x1b``, ``\\u202e``, ``\\ud800``) in one line.

    The one rule for foreign text that reaches a log, a status or a terminal: it cannot steer or forge any of them.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def escaped_lines(text: str) -> str:
    """Like `escaped`, for text of several lines."""
    return "\n".join(map(escaped, text.split("\n")))


def path_text(path: Path) -> str:
    """``spec.dataTypes[1]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return escaped(text.removeprefix("."))


def shown(value: object) -> str:
    """A value as JSON, cut at 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def counted(count: int, noun: str) -> str:
    """``1 symbol``, ``2 symbols``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def listed(values: Sequence[object], conjunction: str = "or") -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    texts = [str(value) for value in values]
    return f" {conjunction} ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def wrong_type(wanted: str, value: object) -> str:
    """``must be a string, not a number (3)``."""
    return f"must be {wanted}, not {_described(value)}"


def unknown_field(name: str, known: Sequence[str]) -> str:
    """The message about a field that does not exist, with the nearest one that does."""
    return f"unknown field{_nearest(name, known) or '.'} Allowed: {', '.join(known)}"


def not_among(value: object, choices: Sequence[object]) -> str:
    """The message about a value outside a closed list, with the nearest one inside."""
    names = [str(choice) for choice in choices]
    is_other_case = str(value).lower() in (name.lower() for name in names)
    nearest = _nearest(str(value), names) if is_other_case or len(names) > 1 else ""
    return f"{shown(value)} is not allowed: must be {listed(names)}{nearest}"


def _nearest(name: str, known: Sequence[str]) -> str:
    import difflib  # 3 ms, and only messages need it

    folded = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), list(folded), n=1)
    return f". Did you mean {folded[near[0]]}?" if near else ""


_TYPES: dict[Any, str] = {
    dict: "a mapping",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    (int, float): "a number",
}


def _described(value: object) -> str:
    if value is None:
        return "null"
    for kind, name in _TYPES.items():
        if isinstance(value, kind):
            return name if isinstance(value, (dict, list)) else f"{name} ({shown(value)})"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
