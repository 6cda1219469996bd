from market_operator.errors import ApiError


def test_a_refusal_reads_as_a_sentence() -> None:
    assert str(ApiError(403, "Forbidden", "you may not")) == "403 Forbidden: you may not"


def test_unanswered_call_has_no_status() -> None:
    assert str(ApiError(0, "TimeoutError", "GET /x: ")).startswith("TimeoutError:")


def test_not_found_and_conflict_are_distinguished() -> None:
    assert ApiError(404, "NotFound", "").is_not_found
    assert ApiError(409, "Conflict", "").is_conflict
    assert not ApiError(409, "Conflict", "").is_not_found


def test_only_a_missing_namespace_counts_as_gone() -> None:
    assert ApiError(404, "NotFound", "", kind="namespaces").is_namespace_gone
    assert ApiError(403, "Forbidden", "", causes=("NamespaceTerminating",)).is_namespace_gone
    assert not ApiError(404, "NotFound", "", kind="deployments").is_namespace_gone
    assert not ApiError(403, "Forbidden", "", kind="namespaces").is_namespace_gone
