"""Reads one collector's /status, directly from its pod or through the API server."""

from collections.abc import Awaitable
from typing import Protocol

import aiohttp

from market_operator.cluster.access import runs_in_a_pod
from market_operator.cluster.client import IDENTITY, Cluster
from market_operator.errors import ApiError, ReportError
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.naming import HTTP_PORT
from market_operator.settings import HealthVia
from market_operator.watch.answers import TIMEOUT, Answers


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
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            trust_env=False,
            headers=IDENTITY,
            auto_decompress=False,
        )
        self._answers = Answers()

    async def read(self, pod: Pod) -> Report:
        """The report of `pod`, from http://ADDRESS:8080/status."""
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        url = f"http://{host}:{HTTP_PORT}/status"
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise ReportError(f"GET {url} was answered with status {response.status}")
                return await _report(url, self._answers.read(pod.key.namespace, response))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ReportError(f"GET {url} failed: {_describe_error(error)}") from error

    async def close(self) -> None:
        """Ends all connections."""
        await self._session.close()


class Proxied:
    """HTTP through the API server's pod proxy, for an operator that runs outside the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._answers = Answers()

    async def read(self, pod: Pod) -> Report:
        """The report of `pod`, through the API server."""
        url = f"pods/{pod.name}:{HTTP_PORT}/proxy/status"
        try:
            async with self._cluster.pod_status(pod.key.namespace, pod.name, HTTP_PORT, TIMEOUT) as response:
                return await _report(url, self._answers.read(pod.key.namespace, response))
        except ApiError as error:
            raise ReportError(f"GET {url} through the API server failed: {error.status} {error.reason}") from error

    async def close(self) -> None:
        """Nothing: the cluster owns the connections."""


def reader(via: HealthVia, cluster: Cluster, connections: int) -> Reader:
    """The reader for the setting `via`."""
    return Direct(connections) if is_direct(via) else Proxied(cluster)


def is_direct(via: HealthVia) -> bool:
    """Whether probes come from the operator itself, not from the API server."""
    return via == "direct" or (via == "auto" and runs_in_a_pod())


async def _report(url: str, reading: Awaitable[Report]) -> Report:
    try:
        return await reading
    except ReportError as error:
        raise ReportError(f"the answer of GET {url} is invalid: {error}") from error


def _describe_error(error: BaseException) -> str:
    return f"no answer within {TIMEOUT} s" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
