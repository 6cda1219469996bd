"""What keeps a shard's pods from running or from getting ready: the pod's own reason, or its Deployment's. Pure."""

from market_operator.observed.pods import Pod
from market_operator.resource.document import Document
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.text import cut, number

# A container that ended soon and more than once is not believed before it has run for this long (seconds): else a
# crash loop would look well between two crashes.
SETTLED_AFTER = 60.0
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")


def is_crash_looping(pod: Pod, now: float) -> bool:
    """Whether a pod's container ended again and again, and was not up for long since."""
    if not pod.is_running:
        return pod.waiting == "CrashLoopBackOff" or bool(pod.ended and pod.restarts > 1)
    return settles_in(pod, now) > 0


def settles_in(pod: Pod, now: float) -> float:
    """Seconds until a running container that ended soon and more than once is believed; 0 when it is."""
    if not (pod.is_running and pod.ended and pod.restarts > 1 and pod.last_run < SETTLED_AFTER):
        return 0.0
    return max(0.0, pod.started_at + SETTLED_AFTER - now)


def pod_trouble(pod: Pod, now: float) -> ConditionState | None:
    """What keeps a pod from running that will not pass by itself, or not soon."""
    if is_crash_looping(pod, now):
        return ConditionState(
            "False", Reason.OOM_KILLED if "OOMKilled" in pod.ended else Reason.CRASH_LOOPING, _crash(pod)
        )
    if pod.is_running:
        return None
    if reason := _why_it_waits(pod):
        return ConditionState("False", reason, f"Pod {pod.name}: {pod.waiting}: {cut(pod.waiting_message)}")
    if pod.unschedulable:
        return ConditionState("False", Reason.UNSCHEDULABLE, f"Pod {pod.name}: {cut(pod.unschedulable)}")
    return None


def _why_it_waits(pod: Pod) -> str:
    if pod.waiting in _IMAGE_REASONS:
        return Reason.IMAGE_PULL_FAILED
    if pod.waiting == "CreateContainerConfigError" and "secret" in pod.waiting_message.lower():
        return Reason.SECRET_NOT_FOUND
    return Reason.PODS_REFUSED if pod.waiting.endswith("Error") else ""


def _crash(pod: Pod) -> str:
    words = (
        cut(pod.termination_messages[-1].strip().splitlines()[-1])
        if pod.termination_messages and pod.termination_messages[-1].strip()
        else ""
    )
    said = f"; it said: {words}" if words and not words.startswith("{") else ""
    return f"Pod {pod.name} ended {number(pod.restarts, 'time')}: {pod.ended or 'no reason known'}{said}"


def is_taken_up(deployment: Document) -> bool:
    """Whether Kubernetes has looked at the present spec of a Deployment; until then its status is about another."""
    return bool(
        deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def is_in_time(deployment: Document) -> bool:
    """Whether a roll-out is under way and Kubernetes still gives it time (progressDeadlineSeconds)."""
    if not is_taken_up(deployment):
        return True
    progress = _said(deployment).get("Progressing", {})
    return progress.get("status") == "True" and progress.get("reason") != "NewReplicaSetAvailable"


def deployment_trouble(deployment: Document, late: str) -> ConditionState | None:
    """What Kubernetes says of a Deployment; `late` says why its new pods are not ready, should their time be up."""
    if not is_taken_up(deployment):
        return None
    found = _said(deployment)
    refused, progress = found.get("ReplicaFailure", {}), found.get("Progressing", {})
    if refused.get("status") == "True":
        message = cut(refused.get("message", ""))
        reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.PODS_REFUSED
        return ConditionState("False", reason, message)
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return ConditionState("False", Reason.DEADLINE_EXCEEDED, f"The new pods do not get ready in time: {late}")
    return None


def _said(deployment: Document) -> dict[str, Document]:
    return {each["type"]: each for each in deployment.get("status", {}).get("conditions", ())}
