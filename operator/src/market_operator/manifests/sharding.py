"""Which symbol is collected by which shard: rendezvous hashing, so that a change moves the fewest symbols."""

import hashlib
from collections.abc import Sequence


def spread(symbols: Sequence[str], shards: int) -> tuple[tuple[str, ...], ...]:
    """The sorted symbols of each shard; no shard stays empty as long as there are enough symbols.

    Adding or removing a symbol touches its own shard alone, and one more shard takes symbols but lets none move between
    the others (with few symbols per shard, keeping shards from staying empty may move one more).
    """
    groups: list[list[str]] = [[] for _ in range(shards)]
    for symbol in symbols:
        groups[max(range(shards), key=lambda shard: _weight(symbol, shard))].append(symbol)
    for shard, group in enumerate(groups):
        if not group:
            _give_one(groups, shard)
    return tuple(tuple(sorted(group)) for group in groups)


def _give_one(groups: list[list[str]], shard: int) -> None:
    """Moves the symbol that likes the empty `shard` best out of a shard that can spare one."""
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
