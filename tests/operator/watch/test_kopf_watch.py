"""Lines of a watch, as kopf reads them."""

import asyncio
import json

import aiohttp
from aiohttp.base_protocol import BaseProtocol

from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.registry import Registry
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from market_operator.watch.kopf_watch import _lines


async def test_watch_goes_on_after_events_that_cannot_be_parsed() -> None:
    """kopf would end the operator."""
    deep = '{"f:a":' * 10_000 + "{}" + "}" * 10_000
    content = aiohttp.StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16, loop=asyncio.get_running_loop())
    for text in (f'{{"type":"ADDED","object":{{"x":{deep}}}}}', "<html>", '{"type":"BOOKMARK"}', '{"type":"ADD'):
        content.feed_data(f"{text}\n".encode())
    content.feed_eof()
    informer = Informer(
        Cache(), Registry(), Collectors(), WorkQueue(lambda: 0.0), PollSchedule(), Containment(Metrics()), True
    )
    events = [json.loads(line) async for line in _lines(informer)(content)]
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
