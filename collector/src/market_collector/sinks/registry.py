"""Creates sinks from settings. Another kind of sink needs a module and a case here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from market_collector.config.settings import FileSinkSettings, SinkSettings, StdoutSinkSettings
from market_collector.model.moment import Moment
from market_collector.sinks.file import FileSink
from market_collector.sinks.interface import Origin, Sink
from market_collector.sinks.stdout import StdoutSink


def make_sinks(settings: Iterable[SinkSettings], origin: Origin, clock: Callable[[], Moment]) -> list[Sink]:
    """The sinks of a spec, in its order and not opened yet."""
    return [_make_sink(each, origin, clock) for each in settings]


def _make_sink(settings: SinkSettings, origin: Origin, clock: Callable[[], Moment]) -> Sink:
    match settings:
        case StdoutSinkSettings():
            return StdoutSink(settings.name)
        case FileSinkSettings():
            return FileSink(settings, origin, clock)
