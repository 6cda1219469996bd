"""Reasons why pods do not run or are not ready, from the pod or its Deployment. Pure."""

from market_operator.observed.pods import Pod
from market_operator.resource.document import Document
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.text import shortened
from market_spec.messages import counted

# Seconds that a container must run after repeated early exits. Otherwise a crash loop would look healthy between
# two crashes.
TRUST_RESTARTED_AFTER_S = 60.0
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")


def is_crash_looping(pod: Pod, now: float) -> bool:
    """Whether the container exited repeatedly and has not run long enough since."""
    if not pod.is_running:
        return pod.waiting == "CrashLoopBackOff" or bool(pod.ended and pod.restarts > 1)
    return seconds_until_trusted(pod, now) > 0


def seconds_until_trusted(pod: Pod, now: float) -> float:
    """Seconds until a repeatedly restarted container counts as running; 0 if it does now."""
    if not (pod.is_running and pod.ended and pod.restarts > 1 and pod.last_run < TRUST_RESTARTED_AFTER_S):
        return 0.0
    return max(0.0, pod.started_at + TRUST_RESTARTED_AFTER_S - now)


def pod_problem(pod: Pod, now: float) -> ConditionState | None:
    """A lasting reason why a pod does not run, if there is one."""
    if is_crash_looping(pod, now):
        return ConditionState(
            "False", Reason.OOM_KILLED if "OOMKilled" in pod.ended else Reason.CRASH_LOOPING, _crash(pod)
        )
    if pod.is_running:
        return None
    if reason := _why_it_waits(pod):
        return ConditionState("False", reason, f"Pod {pod.name}: {pod.waiting}: {shortened(pod.waiting_message)}")
    if pod.unschedulable:
        return ConditionState("False", Reason.UNSCHEDULABLE, f"Pod {pod.name}: {shortened(pod.unschedulable)}")
    return None


def _why_it_waits(pod: Pod) -> str:
    if pod.waiting in _IMAGE_REASONS:
        return Reason.IMAGE_PULL_FAILED
    if pod.waiting == "CreateContainerConfigError" and "secret" in pod.waiting_message.lower():
        return Reason.SECRET_NOT_FOUND
    return Reason.PODS_REFUSED if pod.waiting.endswith("Error") else ""


def _crash(pod: Pod) -> str:
    words = (
        shortened(pod.termination_messages[-1].strip().splitlines()[-1])
        if pod.termination_messages and pod.termination_messages[-1].strip()
        else ""
    )
    log_line = f"; last log line: {words}" if words and not words.startswith("{") else ""
    return f"Pod {pod.name} restarted {counted(pod.restarts, 'time')}: {pod.ended or 'no reason reported'}{log_line}"


def is_observed(deployment: Document) -> bool:
    """Whether the Deployment controller has observed the current spec; if not, the status is of an older one."""
    return bool(
        deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def is_progressing(deployment: Document) -> bool:
    """Whether a rollout is in progress and within its progressDeadlineSeconds."""
    if not is_observed(deployment):
        return True
    progress = _conditions_by_type(deployment).get("Progressing", {})
    return progress.get("status") == "True" and progress.get("reason") != "NewReplicaSetAvailable"


def deployment_problem(deployment: Document, late: str) -> ConditionState | None:
    """The problem that a Deployment's conditions report. `late` says why its new pods are not ready."""
    if not is_observed(deployment):
        return None
    found = _conditions_by_type(deployment)
    refused, progress = found.get("ReplicaFailure", {}), found.get("Progressing", {})
    if refused.get("status") == "True":
        message = shortened(refused.get("message", ""))
        reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.PODS_REFUSED
        return ConditionState("False", reason, message)
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return ConditionState(
            "False", Reason.DEADLINE_EXCEEDED, f"The new pods are not ready within the progress deadline: {late}"
        )
    return None


def _conditions_by_type(deployment: Document) -> dict[str, Document]:
    return {each["type"]: each for each in deployment.get("status", {}).get("conditions", ())}
