import pytest

from market_operator.cluster.access import proxy_for

PROXY = "http://proxy.corp.example:3128"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("server", "excluded", "expected"),
    [
        ("https://10.96.0.1:443", "", PROXY),
        ("https://10.96.0.1:443", "10.96.0.1", None),
        ("https://10.96.0.1:443", "localhost,10.96.0.0/12,.svc", None),
        ("https://10.96.0.1:443", "10.97.0.0/16", PROXY),
        ("https://[fd00:10:96::1]:443", "fd00:10:96::/112", None),
        ("https://[fd00:10:96::1]:443", "fd00:10:96::1", None),
        ("https://kubernetes.default.svc", ".svc", None),
        ("https://api.example.com:6443", "10.0.0.0/8", PROXY),
    ],
)
def test_proxy_of_the_api_server_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, server: str, excluded: str, expected: str | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", excluded)
    assert proxy_for(server) == expected
