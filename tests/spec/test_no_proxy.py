import pytest

from market_spec.no_proxy import is_in_no_proxy_network

LIST = "localhost, 127.0.0.1,10.96.0.0/12 ,10.244.1.7/16,[fd00::1],2001:db8::/32,.svc,.cluster.local,*.x,,/8"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.96.0.1", True),
        ("10.111.255.255", True),
        ("10.112.0.0", False),
        ("10.244.200.9", True),
        ("fd00::1", True),
        ("[fd00:0:0:0:0:0:0:1]", True),
        ("fd00::2", False),
        ("[2001:db8:1::5]", True),
        ("ws.exchange.example", False),
        ("10.96.0", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_networks_of_no_proxy_are_understood(variable: str, host: str, expected: bool) -> None:
    assert not is_in_no_proxy_network(host, {})
    assert is_in_no_proxy_network(host, {variable: LIST}) is expected
