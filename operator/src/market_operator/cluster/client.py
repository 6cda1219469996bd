"""The API server: the only module that uses the Kubernetes client, with plain dicts (its models cost 15 to 100 MB).

Rights that the operator needs (the chart grants exactly these; in a namespaced installation as Roles):

| group              | resources                        | verbs                                        |
|--------------------|----------------------------------|----------------------------------------------|
| marketcollector.dev| marketcollectors                 | get, list, watch                             |
| marketcollector.dev| marketcollectors/status          | patch                                        |
| apps               | deployments                      | list, watch, create, patch, delete           |
| (core)             | services, configmaps             | list, watch, create, patch, delete           |
| policy             | poddisruptionbudgets             | list, watch, create, patch, delete           |
| networking.k8s.io  | networkpolicies                  | list, watch, create, patch, delete           |
| (core)             | pods                             | list, watch                                  |
| events.k8s.io      | events                           | create                                       |

and, only in the namespace of its Lease:

| coordination.k8s.io| leases                           | create                                       |
| coordination.k8s.io| leases, by the Lease's name      | get, update                                  |

Server-side apply needs patch, and create for new objects. Managed objects do not block the deletion of their owner, so
no right on finalizers is needed. `--health-via proxy`, used from a shell, also needs get on pods/proxy.
"""

import contextlib
import math
import os
import re
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from pydantic_core import from_json, to_json

from market_operator.cluster.access import Access, proxy_for, runs_in_a_pod
from market_operator.cluster.actions import Action, Apply, Delete
from market_operator.cluster.fence import FencedRequest, current_fence
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, EVENTS, LEASES, PODS, Kind
from market_operator.cluster.pages import Page, parse, read_page
from market_operator.errors import ApiError, StartError
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import MANAGER, OURS, Key

CALL_TIMEOUT = 30.0
_CONNECTIONS = 20
# Larger pages are parsed no faster, and their objects set the peak of the memory at the start.
_PAGE = 100
# 100 usual objects have 0.6 MB, but a tenant may make objects of 1.5 MB, of which a page then has only one.
_PAGE_BYTES = 2 * 1024 * 1024
# With its character set named, the client sends the body as we wrote it.
_APPLY = "application/apply-patch+yaml; charset=utf-8"
_NOT_PLAIN_IN_YAML = re.compile("[\x7f-\x9f\ufeff\ufffe\uffff]")
IDENTITY = {"Accept-Encoding": "identity"}
"""Header that asks for no compression, as 1 MB from a pod may become 1 GB. A proxy may still compress lists."""
_LONGEST_REFUSAL = 4096
_MERGE = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


class Cluster:
    """Calls to the API server. All raise ApiError, and end within CALL_TIMEOUT seconds.

    Right before each write, `fence` returns how long it may take (seconds). With several instances, it raises
    LeadershipError unless this one leads.
    """

    def __init__(self, configuration: Configuration, loader: Any) -> None:
        self.fence: Callable[[], float] = lambda: math.inf
        configuration.connection_pool_maxsize = _CONNECTIONS
        # Left to itself the session asks the environment (a thread and a file each time) before every single call.
        configuration.proxy = configuration.proxy or proxy_for(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False, "request_class": FencedRequest}
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._client.user_agent = MANAGER
        self._loader = loader

    @classmethod
    async def connect(cls) -> Self:
        """A cluster by the service account in a pod, else by KUBECONFIG.

        Raises:
            StartError: when there is neither.
        """
        configuration, loader = Configuration(), None
        try:
            if runs_in_a_pod() and not os.environ.get("KUBECONFIG"):
                config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            else:
                loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
                    # The library's default is KUBECONFIG as it was when the module was imported.
                    os.environ.get("KUBECONFIG") or None,
                    client_configuration=configuration,
                    persist_config=False,
                )
        except (config.ConfigException, OSError) as error:
            raise StartError(f"no access to a cluster: {error}; run in a pod, or set KUBECONFIG") from error
        return cls(configuration, loader)

    def with_own_connections(self) -> Self:
        """The same access with connections of its own, so that its calls never wait for others, and without a fence."""
        return type(self)(self._configuration, None)

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def keep_access(self) -> None:
        """Renews a token that a plugin of the KUBECONFIG gives; ends at once when there is none to renew."""
        if self._loader is not None:
            await config.refresh_token(self._loader, self._configuration)  # type: ignore[no-untyped-call]

    async def access(self) -> Access:
        """Access data with a fresh token, for kopf."""
        used = self._configuration
        return Access(
            server=used.host,
            ca_path=used.ssl_ca_cert,
            is_insecure=not used.verify_ssl,
            certificate_path=used.cert_file,
            key_path=used.key_file,
            authorization=(await self._headers()).get("authorization"),
            proxy_url=used.proxy,
        )

    async def read(self, key: Key) -> Document | None:
        """The resource as it is now, or None when there is none."""
        try:
            return await self._call("GET", COLLECTORS.path(*key))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def run(self, action: Action) -> Document | None:
        """Carries an action out; the object as it is after it, None after a deletion."""
        if isinstance(action, Apply):
            return await self._apply(action)
        await self._delete(action)
        return None

    async def _apply(self, action: Apply) -> Document:
        meta = action.manifest["metadata"]
        path = CHILDREN[action.manifest["kind"]].path(meta["namespace"], meta["name"])
        force = "false" if action.is_new else "true"
        query = {"fieldManager": MANAGER, "force": force}
        return await self._call("PATCH", path, _yaml(action.manifest), _APPLY, query)

    async def _delete(self, action: Delete) -> None:
        path = CHILDREN[action.kind].path(action.namespace, action.name)
        options = {"propagationPolicy": "Background", "preconditions": {"uid": action.uid}}
        try:
            await self._call("DELETE", path, options)
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def write_status(self, resource: Resource, patch: Document) -> Document:
        """Merges `patch` into the status.

        Raises:
            ApiError: a conflict when the resource is no longer the one that was read.
        """
        body = {"metadata": {"resourceVersion": resource.resource_version}, "status": patch}
        path = f"{COLLECTORS.path(*resource.key)}/status"
        return await self._call("PATCH", path, body, _MERGE, {"fieldManager": MANAGER}, _METADATA.format(""))

    async def create_event(self, event: Document) -> None:
        """Writes an Event; one of its name is the same Event, written before."""
        try:
            await self._call("POST", EVENTS.path(event["metadata"]["namespace"]), event, "application/json")
        except ApiError as error:
            if not error.is_conflict:
                raise

    async def read_lease(self, key: Key, timeout: float) -> Document | None:
        """The Lease as it is now, or None when there is none."""
        try:
            return await self._call("GET", LEASES.path(*key), timeout=timeout)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def write_lease(self, lease: Document, timeout: float) -> Document:
        """Makes the Lease, or where it names the version that was read, replaces it.

        Raises:
            ApiError: a conflict when somebody else wrote first.
        """
        meta = lease["metadata"]
        if "resourceVersion" not in meta:
            return await self._call("POST", LEASES.path(meta["namespace"]), lease, timeout=timeout)
        return await self._call("PUT", LEASES.path(meta["namespace"], meta["name"]), lease, timeout=timeout)

    async def keys(self, namespace: str | None, selector: str = "") -> AsyncIterator[Page]:
        """All resources of a namespace (None: of all) that a label selector fits, metadata only."""
        async for page in self._pages(COLLECTORS, namespace, selector, _METADATA.format("List")):
            yield page

    async def list_managed(self, kind: Kind, namespace: str | None) -> AsyncIterator[Page]:
        """All objects of a kind that carry our labels."""
        async for page in self._pages(kind, namespace, OURS, "application/json"):
            yield page

    async def _pages(self, kind: Kind, namespace: str | None, selector: str, accept: str) -> AsyncIterator[Page]:
        path, token, limit = kind.path(namespace), "", _PAGE
        while True:
            query = {"limit": str(limit), **({"labelSelector": selector} if selector else {})}
            query |= {"continue": token} if token else {}
            most = _PAGE_BYTES if limit > 1 else math.inf
            content = await self._bytes("GET", path, None, None, query, accept, CALL_TIMEOUT, most)
            if len(content) > most:
                limit = max(limit // 4, 1)
                continue
            page, token = read_page(path, content)
            del content
            yield page
            if not token:
                return
            limit = min(2 * limit, _PAGE)

    @contextlib.asynccontextmanager
    async def pod_status(
        self, namespace: str, pod: str, port: int, timeout: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A pod's /status through the API server's proxy. Its content is not read yet: it may be of any length."""
        path = f"{PODS.path(namespace, f'{pod}:{port}')}/proxy/status"
        async with self._answer("GET", path, None, None, {}, "application/json", timeout) as response:
            if response.status >= 400:
                raise read_refusal(response.status, "", await response.content.read(_LONGEST_REFUSAL))
            yield response

    async def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str | None = None,
        query: dict[str, str] | None = None,
        accept: str = "application/json",
        timeout: float = CALL_TIMEOUT,
    ) -> Document:
        answer = await self._bytes(method, path, body, content_type, query or {}, accept, timeout)
        return parse(f"{method} {path}", answer)

    async def _bytes(
        self,
        method: str,
        path: str,
        body: Any,
        content_type: str | None,
        query: dict[str, str],
        accept: str,
        timeout: float,
        most: float = math.inf,
    ) -> bytes:
        """The content of an answer. If it has more than `most` bytes, the rest is not read."""
        async with self._answer(method, path, body, content_type, query, accept, timeout) as response:
            content = bytearray()
            async for part in response.content.iter_any():
                content += part
                if len(content) > most:
                    break
        if response.status >= 400:
            raise read_refusal(response.status, response.headers.get("Retry-After", ""), bytes(content))
        return bytes(content)

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        body: Any,
        content_type: str | None,
        query: dict[str, str],
        accept: str,
        timeout: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a call, whose content is read inside the context."""
        url = f"{self._configuration.host}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        headers = {**self._client.default_headers, **await self._headers(), **IDENTITY, "Accept": accept}
        headers |= {"Content-Type": content_type} if content_type else {}
        if method != "GET":
            timeout = min(timeout, self.fence())
            current_fence.set(self.fence)
        # What the fence allows is kept to, not rounded up to seconds.
        limit = aiohttp.ClientTimeout(total=timeout, ceil_threshold=math.inf)
        try:
            answer = await self._client.call_api(method, url, headers, body=body, _request_timeout=limit)
            async with answer.response as response:
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(0, type(error).__name__, f"{method} {path}: {error}") from error

    async def _headers(self) -> dict[str, str]:
        """The authorization header. The client reads a pod's token again every minute."""
        settings = await self._configuration.auth_settings()
        bearer = settings.get("BearerToken")
        return {bearer["key"]: str(bearer["value"])} if bearer and bearer.get("value") else {}


def _yaml(document: Document) -> str:
    """`document` as JSON that is also YAML.

    YAML accepts neither surrogate pairs of escapes (emoji) nor raw control characters.
    """
    text = to_json(document).decode()
    return _NOT_PLAIN_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def read_refusal(status: int, retry_after: str, content: bytes) -> ApiError:
    """The error in an answer with an HTTP status of 400 or more. A proxy may answer instead of the API server."""
    try:
        answer = from_json(content)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    details = answer.get("details")
    details = details if isinstance(details, dict) else {}
    causes = details.get("causes")
    causes = [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return ApiError(
        status,
        _text(answer, "reason") or f"HTTP{status}",
        _text(answer, "message") or content[:300].decode(errors="replace"),
        float(retry_after) if re.fullmatch("[0-9]{1,9}", retry_after) else 0.0,
        tuple(_text(cause, "reason") for cause in causes),
        _text(details, "kind"),
    )


def _text(document: Document, name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
