"""The errors of the operator, split by who must act.

OperatorError
├── SpecError       the user: the resource says something impossible
├── StartError      the person who installs: no cluster, no definition, no rights
├── ReportError     nobody here: a collector's status document could not be understood
├── LeadershipError nobody: another instance may lead now, so this one must write no more and end
└── ApiError        time, or an administrator: the API server refused a call or was not there
"""

from dataclasses import dataclass


class OperatorError(Exception):
    """Whatever the operator itself may raise."""


class SpecError(OperatorError):
    """The resource cannot be served as it is; trying again without a change of it is in vain."""


class StartError(OperatorError):
    """The operator cannot begin; the message says what to install or allow."""


class ReportError(OperatorError):
    """A collector answered something that is not a status document of a contract that we know."""


class LeadershipError(OperatorError):
    """This instance does not lead (any more); whatever it was about to write is another's to write."""


@dataclass
class ApiError(OperatorError):
    """A call to the API server failed.

    `status` is the HTTP status, 0 when no answer came; `reason` is Kubernetes' own word (Forbidden, Conflict);
    `retry_after` is in seconds, 0 when the server named none; `causes` are its words for the details.
    """

    status: int
    reason: str
    message: str
    retry_after: float = 0.0
    causes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}" if self.status else f"{self.reason}: {self.message}"

    @property
    def is_not_found(self) -> bool:
        """Whether the object (or its kind) does not exist."""
        return self.status == 404

    @property
    def is_namespace_terminating(self) -> bool:
        """Whether nothing can be made there any more, because the namespace is being deleted."""
        return "NamespaceTerminating" in self.causes

    @property
    def is_conflict(self) -> bool:
        """Whether somebody else wrote first, or owns what was to be written."""
        return self.status == 409

    @property
    def is_retryable(self) -> bool:
        """Whether trying again may succeed without anybody's help; NameTaken is our own word for a conflict.

        An unknown or mistyped field of what was applied is told as a 500, but it is a person's mistake.
        """
        if self.reason == "NameTaken" or self.message.startswith("failed to create typed patch object"):
            return False
        return self.status in (0, 408, 409, 429) or self.status >= 500


NO_DEFINITION = "the MarketCollector definition is not installed; apply what `market-operator crd` prints"
