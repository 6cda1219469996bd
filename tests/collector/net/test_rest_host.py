"""Budgets and stops of REST addresses, against imaginary exchanges."""

import asyncio
import time

import pytest

from feed_life import TRADES, Life, at, trade_message
from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Budget, ProblemKind, Request, RestProblem
from market_collector.feed.effects import Fetch
from market_collector.model.streams import StreamState
from market_collector.net.rest import Rest
from market_collector.net.rest_host import LONGEST_STOP_S, RestHost
from rest_apis import API, Received, Scripted, scripted

OK: Scripted = (200, {}, b"{}")
ASK = Request("/a")
SLOW = Budget(2.0)


def failed(kind: ProblemKind, pause_s: float) -> RequestFailedError:
    return RequestFailedError("GET /a: HTTP 418", RestProblem(kind, pause_s))


def test_buckets_are_paced_each_by_itself() -> None:
    host = RestHost()
    waits = [host.reserve(Request("/x", bucket=name), SLOW, 100.0) for name in ("a", "b", "a", "a")]
    assert waits == [0.0, 0.0, 0.5, 1.0]


def test_full_bucket_allows_a_burst_of_its_capacity() -> None:
    host, budget = RestHost(), Budget(10.0, 50.0)
    waits = [host.reserve(Request("/x", cost=25), budget, 100.0) for _ in range(4)]
    assert waits == [0.0, 0.0, 2.5, 5.0]
    assert host.reserve(ASK, budget, 200.0) == 0.0


def test_request_that_costs_more_than_a_bucket_holds_is_sent_later() -> None:
    assert RestHost().reserve(Request("/x", cost=30), Budget(10.0, 20.0), 100.0) == 1.0


def test_turns_before_a_stop_are_not_counted_after_it() -> None:
    """The requests that have them take another one."""
    host = RestHost()
    for _ in range(20):
        host.reserve(ASK, SLOW, 100.0)
    host.heed(failed(ProblemKind.BUSY, 3.0), 100.0)
    assert [host.reserve(ASK, SLOW, 101.0) for _ in range(3)] == [2.5, 3.0, 3.5]


def test_requests_slow_down_above_80_percent_of_the_limit() -> None:
    host = RestHost()
    spacings = []
    for number, share in enumerate((0.0, 0.8, 0.9, 1.2)):
        host.note_use(share)
        now = 1000.0 * (number + 1)
        host.reserve(ASK, SLOW, now)
        host.reserve(ASK, SLOW, now)
        spacings.append(round(host.reserve(ASK, SLOW, now), 6))
    assert spacings == [1.0, 1.0, 2.5, 14.5]


def test_stop_holds_every_bucket_and_spaces_the_requests_after_it() -> None:
    host = RestHost()
    host.heed(failed(ProblemKind.BUSY, 30.0), 100.0)
    assert [host.reserve(Request("/x", bucket=name), SLOW, 110.0) for name in ("a", "a", "b")] == [20.0, 20.5, 20.0]


@pytest.mark.parametrize("kind", [ProblemKind.SERVER, ProblemKind.NO_SYMBOL, ProblemKind.BUG])
def test_other_problems_stop_nothing(kind: ProblemKind) -> None:
    host = RestHost()
    host.heed(failed(kind, 30.0), 100.0)
    host.heed(RequestFailedError("no answer"), 100.0)
    assert (host.reserve(ASK, SLOW, 100.0), host.stops) == (0.0, 0)


def test_ban_of_hours_is_kept_in_full() -> None:
    host = RestHost()
    host.heed(failed(ProblemKind.BANNED, 7200.0), 100.0)
    host.heed(failed(ProblemKind.BUSY, 1.0), 200.0)  # of a request that was under way
    with pytest.raises(
        RequestFailedError, match=r"GET /b: not sent: all requests wait until 20\S+Z, because of GET /a"
    ):
        host.check_stop("GET /b", 7200.0)
    host.check_stop("GET /b", 7250.0)
    assert host.reserve(ASK, SLOW, 7250.0) == 50.0


def test_stop_has_a_limit() -> None:
    host = RestHost()
    host.heed(failed(ProblemKind.BANNED, 1e15), 0.0)
    assert host.reserve(ASK, SLOW, 0.0) == LONGEST_STOP_S


async def test_ban_stops_all_collectors_of_the_process() -> None:
    received = Received()
    with scripted([(418, {"Retry-After": "7200"}, b'{"code":-1003}'), OK], received) as base:
        first, second = (Rest({"rest": base}, API, tls=None) for _ in range(2))
        with pytest.raises(RequestFailedError, match=r"HTTP 418 .*-1003"):
            await first.fetch(ASK)
        for rest in (first, second):
            with pytest.raises(RequestFailedError, match=r"not sent: all requests wait until .*HTTP 418"):
                await rest.fetch(Request("/b", bucket="weight"))
    assert len(received) == 1


async def test_stop_is_the_reason_of_a_stream_without_data() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.is_acked(TRADES)
    life.gets(trade_message(100), 1)
    with scripted([(418, {"Retry-After": "7200"}, b"")]) as base:
        rest = Rest({"rest": base}, API, tls=None)
        for second in (7, 14):
            (fetch,) = [effect for effect in life.feed.woken(at(second)) if isinstance(effect, Fetch)]
            with pytest.raises(RequestFailedError) as raised:
                await rest.fetch(fetch.request)
            life.feed.answered(fetch, raised.value, at(second))
    life.ledger.age(at(14))
    assert life.progress(TRADES).state is StreamState.UNKNOWN
    assert "not sent: all requests wait until 20" in life.progress(TRADES).message


async def test_request_that_waits_for_its_turn_is_stopped_too() -> None:
    received = Received()
    with scripted([(418, {"Retry-After": "7200"}, b""), OK], received) as base:
        rest = Rest({"rest": base}, API, tls=None)
        asked = [rest.fetch(ASK), rest.fetch(Request("/b", bucket="weight", cost=30))]
        first, second = await asyncio.gather(*asked, return_exceptions=True)
    assert "HTTP 418" in str(first)
    assert "not sent" in str(second)
    assert len(received) == 1


async def test_error_inside_http_200_is_an_error_and_pauses() -> None:
    body = b'{"error":["EAPI:Rate limit exceeded"]}'
    with scripted([(200, {}, body), OK]) as base:
        rest = Rest({"rest": base}, API, tls=None)
        with pytest.raises(RequestFailedError, match=r"too many requests: .*EAPI:Rate limit exceeded") as raised:
            await rest.fetch(ASK)
        assert (raised.value.problem, raised.value.body) == (RestProblem(ProblemKind.BUSY, 0.3), body)
        start = time.monotonic()
        assert await rest.fetch(ASK) == b"{}"
    assert time.monotonic() - start >= 0.2


async def test_used_weight_in_the_headers_slows_down() -> None:
    with scripted([(200, {"X-MBX-USED-WEIGHT-1M": "5940"}, b"{}")]) as base:
        rest = Rest({"rest": base}, API, tls=None)
        await rest.fetch(ASK)
        start = time.monotonic()
        for _ in range(2):
            await rest.fetch(Request("/b", bucket="paced"))
    assert time.monotonic() - start >= 0.4  # instead of 0.05


async def test_post_has_a_body_and_goes_to_its_host() -> None:
    received = Received()
    with scripted([OK], received) as base:
        rest = Rest({"rest": "http://127.0.0.1:9", "private": base + "/"}, API, tls=None)
        await rest.fetch(Request("/0/private/Token", "POST", "nonce=1", host="private"))
    assert received == [("POST", "/0/private/Token", b"nonce=1")]


async def test_internal_error_of_an_adapter_is_a_failed_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(API, "refusal", lambda *_: 1 / 0)
    with scripted([(500, {}, b"")]) as base, pytest.raises(RequestFailedError, match="internal error: ZeroDivision"):
        await Rest({"rest": base}, API, tls=None).fetch(ASK)


async def test_header_that_the_adapter_cannot_read_is_a_failed_request() -> None:
    """Another exception would leave the stream that asked without an answer."""
    with (
        scripted([(200, {"X-MBX-USED-WEIGHT-1M": "much"}, b"{}")]) as base,
        pytest.raises(RequestFailedError, match=r"/a: internal error: ValueError\("),
    ):
        await Rest({"rest": base}, API, tls=None).fetch(ASK)


def test_calls_during_an_exclusion_of_the_region_have_its_kind() -> None:
    """They fail without being sent, and do not make the stop longer."""
    host = RestHost()
    host.heed(failed(ProblemKind.REGION, 600.0), 100.0)
    with pytest.raises(RequestFailedError, match=r"not sent: .* because of GET /a") as refused:
        host.check_stop("GET /b", 200.0)
    host.heed(refused.value, 200.0)
    assert refused.value.problem == RestProblem(ProblemKind.REGION)
    assert host.reserve(ASK, SLOW, 200.0) == 500.0
