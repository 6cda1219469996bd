"""The errors of the operator, split by who must act.

OperatorError
├── SpecError       the user: the resource says something impossible
│   └── NotAllowedError  the user or the installer: the installer's limits do not allow what the resource asks for
├── StartError      the person who installs: no cluster, no CRD, no rights
├── ReportError     nobody: a collector's status document is invalid
├── ObjectError     nobody: an object has not the form that the API server guarantees
├── LeadershipError nobody: another instance may lead now, so this one must write no more and end
└── ApiError        time, or an administrator: the API server refused a call or was not there
"""

from dataclasses import dataclass


class OperatorError(Exception):
    """Base of the operator's errors."""


class SpecError(OperatorError):
    """The spec is invalid; retrying without a change is useless."""


class NotAllowedError(SpecError):
    """The spec asks for something that the installer does not allow."""


class StartError(OperatorError):
    """The operator cannot start; the message says what to install or allow."""


class ReportError(OperatorError):
    """An answer is not a status document of a known contract."""


class ObjectError(OperatorError):
    """An object of the cluster has not the form that the API server guarantees."""


class LeadershipError(OperatorError):
    """This instance does not lead, so it must not write."""


@dataclass
class ApiError(OperatorError):
    """A call to the API server failed.

    `status` is the HTTP status, 0 without an answer. `reason` is Kubernetes' reason (Forbidden, Conflict).
    `retry_after` is in seconds, 0 if the server sent none. `causes` are the reasons in its details,
    and `kind` is the plural of the object that they name.
    """

    status: int
    reason: str
    message: str
    retry_after: float = 0.0
    causes: tuple[str, ...] = ()
    kind: str = ""

    def __post_init__(self) -> None:
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}" if self.status else f"{self.reason}: {self.message}"

    @property
    def is_not_found(self) -> bool:
        """Whether the object (or its kind) does not exist."""
        return self.status == 404

    @property
    def is_forbidden(self) -> bool:
        """Whether a right is missing. The rights in a namespace are gone with it."""
        return self.status == 403

    @property
    def is_namespace_gone(self) -> bool:
        """Whether the namespace is being deleted or has been, so that nothing can be created there."""
        return "NamespaceTerminating" in self.causes or (self.is_not_found and self.kind == "namespaces")

    @property
    def is_conflict(self) -> bool:
        """Whether another writer was first, or owns the object."""
        return self.status == 409

    @property
    def is_invalid(self) -> bool:
        """Whether the API server refuses the content, because it breaks the schema or is too large."""
        return self.status in (400, 413, 422)

    @property
    def is_retryable(self) -> bool:
        """Whether a retry may succeed without a person. NameTaken is the operator's own reason.

        The API server answers 500 to an unknown or mistyped field in an applied object, which no retry cures.
        """
        if self.reason == "NameTaken" or self.message.startswith("failed to create typed patch object"):
            return False
        return self.status in (0, 408, 409, 429) or self.status >= 500


NO_CRD = "the MarketCollector CRD is not installed. Run `market-operator crd | kubectl apply --server-side -f -`"
