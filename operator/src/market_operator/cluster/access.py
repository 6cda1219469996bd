"""Access to the API server, from a kubeconfig or from inside a pod."""

import os
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

from market_spec.no_proxy import is_in_no_proxy_network


@dataclass(frozen=True, slots=True)
class Access:
    """Access data for kopf, which has a session of its own."""

    server: str
    ca_path: str | None
    is_insecure: bool
    certificate_path: str | None
    key_path: str | None
    authorization: str | None
    proxy_url: str | None


def runs_in_a_pod() -> bool:
    """Whether this process has a service account from a kubelet."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def proxy_for(server: str) -> str | None:
    """The proxy that the environment names for `server` (HTTPS_PROXY, NO_PROXY)."""
    url = urllib.parse.urlsplit(server)
    host = url.netloc.rpartition("@")[2]
    is_direct = urllib.request.proxy_bypass(host) or is_in_no_proxy_network(url.hostname or "", os.environ)
    return None if is_direct else urllib.request.getproxies().get(url.scheme)


def scopes(namespaces: Iterable[str]) -> tuple[str | None, ...]:
    """The namespaces to list, or (None,) for all at once."""
    return tuple(namespaces) or (None,)
