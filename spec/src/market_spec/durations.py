"""Durations and sizes as people write them in a resource: "500ms", "1m30s", "256Mi"."""

import re
from math import isfinite

DURATION_PATTERN = "^([0-9]+(ms|s|m|h))+$"
DURATION_MAX_LENGTH = 16
_PART = re.compile("([0-9]+)(ms|s|m|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT_BYTES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def seconds(text: str) -> float:
    """The length of a duration in seconds.

    Raises:
        ValueError: the text is not numbers with the units ms, s, m or h.
    """
    if not re.fullmatch(DURATION_PATTERN, text) or text.endswith("\n"):
        raise ValueError(f"{text!r} is not a duration: write numbers with ms, s, m or h, such as 30s or 1m30s")
    return sum(int(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))


def suggested(value: str | float) -> str:
    """The duration that a number or a text such as ``60`` or ``1 M`` probably means; empty if there is none."""
    if not isinstance(value, str):
        value = f"{value}s" if isinstance(value, int) else f"{round(value * 1000)}ms" if isfinite(value) else ""
    text = value.replace(" ", "").lower()
    text += "s" if text.isdigit() else ""
    return text if re.fullmatch(DURATION_PATTERN, text) and len(text) <= DURATION_MAX_LENGTH else ""


def size_bytes(text: str) -> int:
    """Bytes of a size such as ``256Mi``, which has been checked before."""
    return int(text[:-2]) * _UNIT_BYTES[text[-2:]]
