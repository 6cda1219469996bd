"""The instruments of the collected symbols, as the exchange describes them now."""

from collections.abc import Iterable

from msgspec.structs import replace

from market_collector.model.events import Instrument
from market_collector.model.moment import Moment

DELISTED = "delisted"


class Instruments:
    """The newest description of each instrument. Methods return the records to emit."""

    def __init__(self) -> None:
        self._known: dict[str | None, Instrument] = {}
        """By symbol."""

    def update(self, found: Iterable[Instrument]) -> list[Instrument]:
        """Take descriptions of instruments; those that are new or changed are returned."""
        changed = [each for each in found if not _is_same(self._known.get(each.symbol), each)]
        self._known.update((each.symbol, each) for each in changed)
        return changed

    def remove(self, symbols: Iterable[str], now: Moment) -> list[Instrument]:
        """Take symbols that the exchange no longer lists. Returns their changed descriptions."""
        known = [self._known[symbol] for symbol in sorted(symbols) if symbol in self._known]
        gone = {"status": DELISTED, "valid_from_ns": now.wall_ns, "receive_time_ns": now.wall_ns}
        return self.update(replace(each, **gone) for each in known)

    def repeat(self, now: Moment) -> list[Instrument]:
        """Return all descriptions again, valid since the same time, for readers that start here."""
        return [replace(each, receive_time_ns=now.wall_ns) for each in self._known.values()]


def _is_same(known: Instrument | None, found: Instrument) -> bool:
    if known is None:
        return False
    return replace(found, receive_time_ns=known.receive_time_ns, valid_from_ns=known.valid_from_ns) == known
