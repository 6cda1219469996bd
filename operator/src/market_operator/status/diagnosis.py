"""Reasons why pods do not run or are not ready, from the pod or its Deployment. Pure."""

from typing import Protocol

from market_operator.observed.pods import Pod
from market_operator.resource.document import Document
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.text import shortened
from market_spec.messages import counted

# Seconds that a container must run after repeated early exits. Otherwise a crash loop would look healthy between
# two crashes.
TRUST_RESTARTED_AFTER_S = 60.0
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")


class Run(Protocol):
    """The fields that a pod has of its collector's container, and each of its other containers has, too."""

    @property
    def is_running(self) -> bool: ...
    @property
    def restarts(self) -> int: ...
    @property
    def started_at(self) -> float: ...
    @property
    def last_run(self) -> float: ...
    @property
    def waiting(self) -> str: ...
    @property
    def waiting_message(self) -> str: ...
    @property
    def ended(self) -> str: ...
    @property
    def termination_messages(self) -> tuple[str, ...]: ...


def is_crash_looping(run: Run, now: float) -> bool:
    """Whether a container exited repeatedly and has not run long enough since."""
    if not run.is_running:
        return run.waiting == "CrashLoopBackOff" or bool(run.ended and run.restarts > 1)
    return seconds_until_trusted(run, now) > 0


def seconds_until_trusted(run: Run, now: float) -> float:
    """Seconds until a repeatedly restarted container counts as running; 0 if it does now."""
    if not (run.is_running and run.ended and run.restarts > 1 and run.last_run < TRUST_RESTARTED_AFTER_S):
        return 0.0
    return max(0.0, run.started_at + TRUST_RESTARTED_AFTER_S - now)


def pod_problem(pod: Pod, now: float) -> ConditionState | None:
    """A lasting reason why a container of a pod does not run, if there is one: the collector's first."""
    if found := _problem(pod, f"Pod {pod.name}", now):
        return found
    for other in pod.others:
        if found := _problem(other, f"Pod {pod.name}: container {other.name}", now):
            return found
    if pod.unschedulable and not pod.is_running:
        return ConditionState("False", Reason.UNSCHEDULABLE, f"Pod {pod.name}: {shortened(pod.unschedulable)}")
    return None


def _problem(run: Run, where: str, now: float) -> ConditionState | None:
    if is_crash_looping(run, now):
        reason = Reason.OOM_KILLED if "OOMKilled" in run.ended else Reason.CRASH_LOOPING
        return ConditionState("False", reason, f"{where} {_crash(run)}")
    if reason := _why_it_waits(run):
        return ConditionState("False", reason, f"{where}: {run.waiting}: {shortened(run.waiting_message)}")
    return None


def _why_it_waits(run: Run) -> str:
    if run.waiting in _IMAGE_REASONS:
        return Reason.IMAGE_PULL_FAILED
    if run.waiting == "CreateContainerConfigError" and "secret" in run.waiting_message.lower():
        return Reason.SECRET_NOT_FOUND
    return Reason.PODS_REFUSED if run.waiting.endswith("Error") else ""


def _crash(run: Run) -> str:
    words = (
        shortened(run.termination_messages[-1].strip().splitlines()[-1])
        if run.termination_messages and run.termination_messages[-1].strip()
        else ""
    )
    log_line = f"; last log line: {words}" if words and not words.startswith("{") else ""
    return f"restarted {counted(run.restarts, 'time')}: {run.ended or 'no reason reported'}{log_line}"


def is_observed(deployment: Document) -> bool:
    """Whether the Deployment controller has observed the current spec; if not, the status is of an older one."""
    return bool(
        deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def has_outdated_pods(deployment: Document) -> bool:
    """Whether a Deployment has pods of an older template than its current one."""
    status = deployment.get("status", {})
    return bool(status.get("replicas", 0) > status.get("updatedReplicas", 0))


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
