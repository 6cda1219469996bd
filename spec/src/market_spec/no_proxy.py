"""Addresses that NO_PROXY excludes by a network, such as 10.96.0.0/12 or fd00::/8.

The standard library compares text only, while Kubernetes' own programs and OpenShift's cluster-wide proxy understand
networks. Operator and collectors ask both.
"""

import ipaddress
from collections.abc import Mapping


def is_in_no_proxy_network(host: str, environment: Mapping[str, str]) -> bool:
    """Whether NO_PROXY has the address `host`, in any spelling, or a network around it. A name is in no network."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    entries = (environment.get("no_proxy") or environment.get("NO_PROXY") or "").split(",")
    return any(address in network for network in map(_network, entries) if network is not None)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip().strip("[]"), strict=False)
    except ValueError:
        return None
