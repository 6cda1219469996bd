"""Ids without an order: which of them came before."""

from __future__ import annotations

from itertools import islice

IDS_KEPT = 100_000
"""Ids that are remembered, the newest ones. A busy instrument has so many trades in an hour."""


class SeenIds:
    """The newest ids of one stream."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, trade_id: str) -> bool:
        """Return whether the id is new."""
        if trade_id in self._ids:
            return False
        self._ids[trade_id] = None
        if len(self._ids) > 2 * IDS_KEPT:
            self._ids = dict.fromkeys(islice(self._ids, IDS_KEPT, None))
        return True
