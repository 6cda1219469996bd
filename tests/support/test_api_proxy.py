"""The proxy in front of a small API server: it forwards and counts calls, and each fault has its effect."""

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from api_calls import Call, Event, read_call
from api_proxy import Answer, ApiProxy, Delay, Hang, Hook, Pick, Refuse, Reset

PODS = "/api/v1/namespaces/market/pods"


@dataclass
class Server:
    """Records requests and echoes bodies. A watch sends three events and stays open until `end` is set."""

    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if "watch=true" in self.path:
                    self._watch()
                else:
                    self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.asked.append((self.command, self.path, body))
                self.send_response(201 if self.command == "POST" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", self.headers.get("Content-Type", "application/json"))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

            def _watch(self) -> None:
                self.send_response(200)
                self.end_headers()
                for name in ("a", "b", "c"):
                    self.wfile.write(pod_event(name).line)
                server.end.wait(10)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nothing to log."""

        return Handler


def pod_event(name: str, kind: str = "ADDED") -> Event:
    return Event("pods", kind, {"metadata": {"name": name}})


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    plays = Server()
    listening = ThreadingHTTPServer(("127.0.0.1", 0), plays.handler())
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield plays, f"http://127.0.0.1:{listening.server_address[1]}"
    plays.end.set()
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture
def upstream(server: tuple[Server, str]) -> Server:
    return server[0]


@pytest.fixture
def proxy(server: tuple[Server, str]) -> Iterator[ApiProxy]:
    with ApiProxy(server[1]) as found:
        yield found


def send(proxy: ApiProxy, method: str, path: str, body: bytes | None = None, timeout: float = 10) -> tuple[int, bytes]:
    request = urllib.request.Request(proxy.url + path, body, {"Content-Type": "text/plain"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize(
    ("path", "kind", "namespace", "name"),
    [
        ("/api/v1/namespaces/market/pods/a", "pods", "market", "a"),
        ("/api/v1/pods", "pods", "", ""),
        ("/api/v1/namespaces/market", "namespaces", "", "market"),
        ("/apis/apps/v1/namespaces/market/deployments", "deployments", "market", ""),
        ("/apis/x.dev/v1/namespaces/market/marketcollectors/a/status", "marketcollectors/status", "market", "a"),
        ("/apis/x.dev/v1/marketcollectors", "marketcollectors", "", ""),
    ],
)
def test_a_path_names_kind_namespace_and_name(path: str, kind: str, namespace: str, name: str) -> None:
    call = read_call("GET", path, "", b"", 0.0)
    assert (call.kind, call.namespace, call.name) == (kind, namespace, name)


def test_calls_pass_unchanged_and_are_counted(proxy: ApiProxy, upstream: Server) -> None:
    assert send(proxy, "POST", f"{PODS}?dryRun=All", b"body") == (201, b"body")
    assert send(proxy, "GET", f"{PODS}?limit=5&continue=a%2Fb%3D") == (200, b"")
    assert upstream.asked == [
        ("POST", f"{PODS}?dryRun=All", b"body"),
        ("GET", f"{PODS}?limit=5&continue=a%2Fb%3D", b""),
    ]
    assert [str(call) for call in proxy.writes] == ["POST pods"]
    assert [call.is_list for call in proxy.calls] == [False, True]
    assert proxy.count(lambda call: call.kind == "pods") == 2


def test_a_refusal_is_not_forwarded_and_ends_in_time(proxy: ApiProxy, upstream: Server) -> None:
    rule = proxy.on(lambda call: call.is_write, Refuse(429, retry_after_s=3), times=2)
    for _ in range(2):
        request = urllib.request.Request(proxy.url + PODS, b"", method="POST")
        with pytest.raises(urllib.error.HTTPError) as error, urllib.request.urlopen(request, timeout=5):
            pass
        with error.value as answer:
            assert (answer.code, answer.headers["Retry-After"]) == (429, "3")
            assert json.load(answer)["reason"] == "TooManyRequests"
    assert upstream.asked == []
    assert send(proxy, "POST", PODS, b"x") == (201, b"x")
    assert rule.hits == 2


def test_a_rule_can_let_the_first_calls_pass_and_be_healed(proxy: ApiProxy) -> None:
    rule = proxy.on(lambda call: call.is_write, Refuse(500), skip=1)
    assert [send(proxy, "POST", PODS, b"")[0] for _ in range(3)] == [201, 500, 500]
    proxy.heal(rule)
    assert send(proxy, "POST", PODS, b"")[0] == 201


def test_an_answer_can_be_an_older_one(proxy: ApiProxy, upstream: Server) -> None:
    proxy.on(lambda call: call.is_list, Answer(b"old"), times=1)
    assert send(proxy, "GET", PODS) == (200, b"old")
    assert upstream.asked == []
    assert send(proxy, "GET", PODS) == (200, b"")
    assert proxy.ask(PODS) == b""


@pytest.mark.parametrize("after", [False, True], ids=["before forwarding", "after forwarding"])
def test_a_reset_loses_the_call_or_only_its_answer(proxy: ApiProxy, upstream: Server, after: bool) -> None:
    proxy.on(lambda call: call.is_write, Reset(after_forwarding=after), times=1)
    with pytest.raises((ConnectionError, urllib.error.URLError, http.client.HTTPException)):
        send(proxy, "POST", PODS, b"")
    assert len(upstream.asked) == int(after)
    assert send(proxy, "POST", PODS, b"")[0] == 201


def test_a_hanging_call_says_nothing(proxy: ApiProxy, upstream: Server) -> None:
    proxy.on(lambda call: call.is_write, Hang(), times=1)
    with pytest.raises((TimeoutError, urllib.error.URLError)):
        send(proxy, "POST", PODS, b"", timeout=0.1)
    assert upstream.asked == []


def test_a_delayed_call_arrives(proxy: ApiProxy) -> None:
    proxy.on(lambda call: call.is_write, Delay(0.01))
    assert send(proxy, "POST", PODS, b"x") == (201, b"x")


def test_hooks_run_around_the_call(proxy: ApiProxy, upstream: Server) -> None:
    seen = []
    hook = Hook(lambda: seen.append(len(upstream.asked)), lambda: seen.append(len(upstream.asked)))
    proxy.on(lambda call: call.is_write, hook)
    send(proxy, "POST", PODS, b"")
    assert seen == [0, 1]


def watched(proxy: ApiProxy) -> Any:
    return urllib.request.urlopen(f"{proxy.url}{PODS}?watch=true", timeout=10)


def name(line: bytes) -> str:
    return str(json.loads(line)["object"]["metadata"]["name"])


def test_a_watch_passes_line_by_line_while_it_is_open(proxy: ApiProxy) -> None:
    with watched(proxy) as lines:
        assert [name(next(lines)) for _ in range(3)] == ["a", "b", "c"]
        proxy.tell(pod_event("old", "MODIFIED"))
        proxy.tell(Event("services", "ADDED", {"metadata": {"name": "not here"}}))
        assert name(next(lines)) == "old"
        assert proxy.end_watches("pods") == 1
        assert list(lines) == []
    assert [event.name for event in proxy.events] == ["a", "b", "c"]


def test_an_event_can_be_lost(proxy: ApiProxy) -> None:
    loss = proxy.lose(lambda event: event.type == "ADDED", skip=1, times=1)
    with watched(proxy) as lines:
        assert [name(next(lines)) for _ in range(2)] == ["a", "c"]
    assert loss.hits == 1


def test_a_watch_can_end_with_410(proxy: ApiProxy) -> None:
    with watched(proxy) as lines:
        [next(lines) for _ in range(3)]
        proxy.end_watches(gone=True)
        error = json.loads(next(lines))
        assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
        assert list(lines) == []


def test_who_is_cut_off_reaches_nothing_until_restored(proxy: ApiProxy) -> None:
    with watched(proxy) as lines:
        [next(lines) for _ in range(3)]
        proxy.cut_off()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            next(lines)
    with pytest.raises((ConnectionError, urllib.error.URLError, http.client.HTTPException)):
        send(proxy, "GET", PODS)
    proxy.restore()
    assert send(proxy, "GET", PODS)[0] == 200


def test_only_what_matches_is_counted() -> None:
    pick = Pick[Call](lambda call: call.kind == "pods", skip=1, times=1)
    pod, service = (read_call("GET", f"/api/v1/{kind}", "", b"", 0.0) for kind in ("pods", "services"))
    assert [pick.takes(call) for call in (service, pod, service, pod, pod)] == [False, False, False, True, False]


def test_a_child_is_of_the_resource_that_it_is_named_after() -> None:
    def named(text: str) -> Call:
        return read_call("GET", f"{PODS}/{text}", "", b"", 0.0)

    assert [named(text).is_of("r1") for text in ("r1", "r1-0-abc", "r11", "r11-0")] == [True, True, False, False]
