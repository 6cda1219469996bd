"""Settings become sinks."""

from pathlib import Path

from market_collector.config.settings import FileSinkSettings, SinkSettings, StdoutSinkSettings
from market_collector.model.moment import Moment
from market_collector.sinks.interface import Origin
from market_collector.sinks.registry import make_sinks


def test_each_kind_of_settings_makes_its_sink(tmp_path: Path) -> None:
    settings: list[SinkSettings] = [
        StdoutSinkSettings("out"),
        FileSinkSettings("archive", tmp_path, 1, 1.0, "none", 0.5),
    ]
    sinks = make_sinks(settings, Origin("okx", 0, "pod"), lambda: Moment(0.0, 0))
    assert [(sink.name, sink.type, sink.sync_interval_s) for sink in sinks] == [
        ("out", "stdout", 0.0),
        ("archive", "file", 0.5),
    ]
