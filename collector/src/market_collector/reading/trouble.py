"""Something in recorded files that could not be read, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from market_spec.messages import escaped

LONGEST_ERROR = 300
"""Characters of an error that are shown: it may have a value of 64 MiB in it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that could not be read."""

    file: str
    line: int | None
    reason: str
    """The problem, and the advice for the user."""

    def __str__(self) -> str:
        """The message in one line: ``FILE:LINE: REASON``."""
        return escaped(f"{self.file}{'' if self.line is None else f':{self.line}'}: {self.reason}")
