"""A small record of each collector pod, since there may be ten thousand."""

from dataclasses import dataclass

from market_operator.observed.containers import WORDS_LIMIT, Container, is_completed, read_container, seconds
from market_operator.observed.ownership import NO_SHARD, owned_shard, owner_key
from market_operator.resource.document import Document, reads_object
from market_operator.resource.naming import CONTAINER, TEMPLATE_ANNOTATION, Key


@dataclass(frozen=True, slots=True)
class Pod:
    """A collector pod. Strings are empty if Kubernetes has no value. `shard` is NO_SHARD if it is not the operator's.

    The fields of its collector's container are those of Container. `others` are its other containers, such as an
    injected sidecar, without init containers that completed. `unready` has the kubelet's words about a pod that is not
    ready. A finished pod never runs again. One that failed has the kubelet's reason and words in `failed` and
    `failed_message`, and the time of it in `failed_at` (seconds since 1970).
    `ready_changed_at` is when it became ready or unready (seconds since 1970, 0 if unknown).
    """

    key: Key
    name: str
    uid: str
    version: int
    shard: int
    template: str
    ip: str
    node: str
    is_terminating: bool
    is_running: bool
    is_ready: bool
    ready_changed_at: float
    restarts: int
    started_at: float
    last_run: float
    waiting: str
    waiting_message: str
    ended: str
    unschedulable: str
    configmaps: tuple[str, ...]
    termination_messages: tuple[str, ...]
    others: tuple[Container, ...] = ()
    unready: str = ""
    is_finished: bool = False
    failed: str = ""
    failed_message: str = ""
    failed_at: float = 0.0

    @property
    def is_owned(self) -> bool:
        """Whether a Deployment of the operator made the pod."""
        return self.shard != NO_SHARD


@reads_object
def read_pod(document: Document) -> Pod:
    """The record of a pod with our labels. Strings that many pods share are interned.

    Raises:
        ObjectError: the document is no pod.
    """
    meta, status = document["metadata"], document.get("status", {})
    container, key = _collector(status), owner_key(document)
    is_finished = status.get("phase") in ("Failed", "Succeeded")
    is_failed = status.get("phase") == "Failed"
    ready = _condition(status, "Ready")
    return Pod(
        key=key,
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        shard=owned_shard(document, key),
        template=meta.get("annotations", {}).get(TEMPLATE_ANNOTATION, ""),
        ip=status.get("podIP", ""),
        node=document.get("spec", {}).get("nodeName", ""),
        is_terminating="deletionTimestamp" in meta or is_finished,
        is_running=container.is_running and not is_finished,
        is_ready=ready.get("status") == "True" and not is_finished,
        ready_changed_at=seconds(ready.get("lastTransitionTime")),
        restarts=container.restarts,
        started_at=container.started_at,
        last_run=container.last_run,
        waiting=container.waiting,
        waiting_message=container.waiting_message,
        ended=container.ended,
        unschedulable=_unschedulable(status)[:WORDS_LIMIT],
        configmaps=_configmaps(document),
        termination_messages=container.termination_messages,
        others=_others(status),
        unready=ready.get("message", "")[:WORDS_LIMIT],
        is_finished=is_finished,
        failed=(status.get("reason") or container.ended or "Failed") if is_failed else "",
        failed_message=status.get("message", "")[:WORDS_LIMIT] if is_failed else "",
        failed_at=_failed_at(status) if is_failed else 0.0,
    )


def unreadable_pod(document: Document) -> Pod:
    """The record of a pod of which only the metadata can be read: it may run, but cannot be probed.

    Raises:
        ObjectError: not even the metadata can be read.
    """
    status = {"containerStatuses": [{"name": CONTAINER, "started": True, "state": {"running": {}}}]}
    return read_pod({**document, "spec": {}, "status": status})


def _collector(status: Document) -> Container:
    found = [each for each in status.get("containerStatuses", ()) if each.get("name") == CONTAINER]
    return read_container(found[0] if found else {})


def _others(status: Document) -> tuple[Container, ...]:
    inits, apps = status.get("initContainerStatuses", ()), status.get("containerStatuses", ())
    others = [*inits, *(each for each in apps if each.get("name") != CONTAINER)]
    return tuple(read_container(each) for each in others if not is_completed(each))


def _failed_at(status: Document) -> float:
    """The newest time in the status of a failed pod: of an end, or of a condition."""
    ends = [
        each.get("state", {}).get("terminated", {}).get("finishedAt") for each in status.get("containerStatuses", ())
    ]
    changes = [each.get("lastTransitionTime") for each in status.get("conditions", ())]
    return max(map(seconds, [status.get("startTime"), *ends, *changes]))


def _condition(status: Document, kind: str) -> Document:
    found = [condition for condition in status.get("conditions", ()) if condition.get("type") == kind]
    return found[0] if found else {}


def _unschedulable(status: Document) -> str:
    scheduled = _condition(status, "PodScheduled")
    return scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else ""


def _configmaps(document: Document) -> tuple[str, ...]:
    volumes = document.get("spec", {}).get("volumes", ())
    return tuple(volume["configMap"]["name"] for volume in volumes if "configMap" in volume)
