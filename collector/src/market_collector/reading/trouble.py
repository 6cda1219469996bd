"""Something in recorded files that could not be read, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that could not be read."""

    file: str
    line: int | None
    reason: str
    """The problem, and the advice for the user."""

    def __str__(self) -> str:
        """The message: ``FILE:LINE: REASON``."""
        return f"{self.file}{'' if self.line is None else f':{self.line}'}: {self.reason}"
