"""The desired state of one resource."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from market_operator.resource.document import Document
from market_spec.collection import Candle
from market_spec.exchanges import BALANCE, QUOTE
from market_spec.spec import Spec


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The spec with its defaults, and the managed objects in the order of creation.

    `templates` and `symbols` have the pod template's hash and the symbols of each shard.
    """

    spec: Spec
    children: tuple[Document, ...]
    templates: tuple[str, ...]
    symbols: tuple[tuple[str, ...], ...]
    image: str

    @property
    def streams(self) -> frozenset[str]:
        """The names of all streams, as collectors report them."""
        return frozenset(name for symbols in self.symbols for name in stream_names(self.spec, symbols))


def stream_names(spec: Spec, symbols: Iterable[str]) -> Iterator[str]:
    """The names of the streams of `symbols`: SYMBOL/type, or SYMBOL/candle:interval."""
    intervals = (spec.candle or Candle()).intervals
    kinds = [f"candle:{each}" for each in intervals] if "candle" in spec.data_types else []
    kinds += [each for each in spec.data_types if each not in ("candle", QUOTE, BALANCE)]
    return (f"{symbol}/{kind}" for symbol in symbols for kind in kinds)
