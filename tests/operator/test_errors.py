from market_operator.errors import ApiError


def test_a_refusal_reads_as_a_sentence() -> None:
    assert str(ApiError(403, "Forbidden", "you may not")) == "403 Forbidden: you may not"


def test_a_call_without_an_answer_has_no_status_to_tell() -> None:
    assert str(ApiError(0, "TimeoutError", "GET /x: ")).startswith("TimeoutError:")


def test_gone_and_conflict_are_told_apart() -> None:
    assert ApiError(404, "NotFound", "").is_not_found
    assert ApiError(409, "Conflict", "").is_conflict
    assert not ApiError(409, "Conflict", "").is_not_found
