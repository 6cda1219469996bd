"""Assigns symbols to shards by rendezvous hashing, so that a change moves few symbols."""

import hashlib
from collections.abc import Sequence


def spread(symbols: Sequence[str], shards: int) -> tuple[tuple[str, ...], ...]:
    """The sorted symbols of each shard. No shard is empty if there are enough symbols.

    Adding or removing a symbol changes only its shard. A new shard takes symbols, but none move between the others.
    With few symbols, filling an empty shard may move one more.
    """
    groups: list[list[str]] = [[] for _ in range(shards)]
    for symbol in symbols:
        groups[max(range(shards), key=lambda shard: _weight(symbol, shard))].append(symbol)
    for shard, group in enumerate(groups):
        if not group:
            _fill_empty(groups, shard)
    return tuple(tuple(sorted(group)) for group in groups)


def _fill_empty(groups: list[list[str]], shard: int) -> None:
    """Moves the symbol with the highest weight for the empty `shard` from a shard with several."""
    spare = [symbol for group in groups if len(group) > 1 for symbol in group]
    if not spare:
        return
    chosen = max(spare, key=lambda symbol: _weight(symbol, shard))
    for group in groups:
        if chosen in group:
            group.remove(chosen)
    groups[shard].append(chosen)


def _weight(symbol: str, shard: int) -> bytes:
    return hashlib.blake2b(f"{shard}/{symbol}".encode(), digest_size=8).digest()
