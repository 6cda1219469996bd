"""Programs of another release, which tests/upgrade holds as zips."""

from pathlib import Path

from unmeasured import NOT_MEASURED

PREVIOUS = Path(__file__).parents[1] / "upgrade" / "previous"


def release_environment(release: Path) -> dict[str, str]:
    """Environment variables with which `python -m` runs the release in a zip, without coverage."""
    return {"PYTHONPATH": str(release), **NOT_MEASURED}
