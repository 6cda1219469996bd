"""Reads one collector's /status, directly from its pod or through the API server."""

from typing import Protocol

import aiohttp

from market_operator.cluster.access import runs_in_a_pod
from market_operator.cluster.client import Cluster
from market_operator.errors import ApiError, ReportError
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report, read_report
from market_operator.resource.naming import HTTP_PORT
from market_operator.settings import HealthVia

TIMEOUT = 2.5
_LARGEST = 4 * 1024 * 1024


class Reader(Protocol):
    """One way to read a pod's status document."""

    async def read(self, pod: Pod) -> Report:
        """The report of `pod`.

        Raises:
            ReportError: the message has the attempt and the error.
        """
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...


class Direct:
    """HTTP to the pod's own address."""

    def __init__(self, connections: int) -> None:
        # No proxy from the environment, because pods are in the cluster's own network.
        connector = aiohttp.TCPConnector(limit=connections, force_close=True)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)

    async def read(self, pod: Pod) -> Report:
        """The report of `pod`, from http://ADDRESS:8080/status."""
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        url = f"http://{host}:{HTTP_PORT}/status"
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                content = await response.content.read(_LARGEST)
                while len(content) < _LARGEST and (more := await response.content.read(_LARGEST - len(content))):
                    content += more
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ReportError(f"GET {url} failed: {_describe_error(error)}") from error
        if response.status != 200:
            raise ReportError(f"GET {url} was answered with status {response.status}")
        return _parse(url, content)

    async def close(self) -> None:
        """Ends all connections."""
        await self._session.close()


class Proxied:
    """HTTP through the API server's pod proxy, for an operator that runs outside the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def read(self, pod: Pod) -> Report:
        """The report of `pod`, through the API server."""
        url = f"pods/{pod.name}:{HTTP_PORT}/proxy/status"
        try:
            content = await self._cluster.pod_status(pod.key.namespace, pod.name, HTTP_PORT, TIMEOUT)
        except ApiError as error:
            raise ReportError(f"GET {url} through the API server failed: {error.status} {error.reason}") from error
        return _parse(url, content)

    async def close(self) -> None:
        """Nothing: the cluster owns the connections."""


def reader(via: HealthVia, cluster: Cluster, connections: int) -> Reader:
    """The reader for the setting `via`."""
    return Direct(connections) if is_direct(via) else Proxied(cluster)


def is_direct(via: HealthVia) -> bool:
    """Whether probes come from the operator itself, not from the API server."""
    return via == "direct" or (via == "auto" and runs_in_a_pod())


def _parse(url: str, content: bytes) -> Report:
    try:
        return read_report(content)
    except ReportError as error:
        raise ReportError(f"the answer of GET {url} is invalid: {error}") from error


def _describe_error(error: BaseException) -> str:
    return f"no answer within {TIMEOUT} s" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
