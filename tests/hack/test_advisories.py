"""`make advisories` reads pip-audit's document, and never calls a package clean that nobody checked."""

import json

import pytest
from hack.advisories import FILES, Audit, exit_code, joined, read, text

PINS = "msgspec==0.22.0 \\\n    --hash=sha256:00\nPyYAML==6.0.3\nzstandard==0.25.0 ; python_version < '3.14' \\\n"
VULNERABLE = {"id": "CVE-2026-1", "fix_versions": ["6.0.4", "7.0"], "aliases": ["GHSA-x"], "description": "bad"}
MIXED = {
    "dependencies": [
        {"name": "msgspec", "version": "0.22.0", "vulns": []},
        {"name": "pyyaml", "version": "6.0.3", "vulns": [VULNERABLE, {"id": "PYSEC-1", "fix_versions": []}]},
        {
            "name": "zstandard",
            "skip_reason": "Dependency not found on PyPI and could not be audited: zstandard (0.25.0)",
        },
    ],
    "fixes": [],
}


def test_clean_vulnerable_and_unchecked_packages_are_distinguished() -> None:
    audit = read(PINS, json.dumps(MIXED), "")
    assert audit.clean == ("msgspec 0.22.0",)
    assert audit.advisories == {"PyYAML 6.0.3": ["CVE-2026-1 (fixed in 6.0.4, 7.0)", "PYSEC-1 (no fix known)"]}
    assert audit.unchecked == {"zstandard 0.25.0": "Dependency not found on PyPI and could not be audited"}
    assert exit_code(audit, is_unchecked_allowed=True) == 1


@pytest.mark.parametrize(
    ("document", "errors", "reason"),
    [
        ('{"dependencies": [], "fixes": []}', "No known vulnerabilities found\n", "No known vulnerabilities found"),
        ("", "Traceback\nConnectionError: Name or service not known\n", "ConnectionError: Name or service not known"),
        ("", "", "pip-audit says nothing about it"),
    ],
    ids=["unknown to the source", "no connection", "nothing"],
)
def test_package_without_an_answer_is_not_checked(document: str, errors: str, reason: str) -> None:
    """As behind an index that has no advisories: pip-audit itself ends with 0 then."""
    audit = read(PINS, document, errors)
    assert (audit.clean, audit.advisories) == ((), {})
    assert audit.unchecked == dict.fromkeys(("msgspec 0.22.0", "PyYAML 6.0.3", "zstandard 0.25.0"), reason)
    assert exit_code(audit, is_unchecked_allowed=False) == 2
    assert exit_code(audit, is_unchecked_allowed=True) == 0
    assert f"NOT CHECKED: 3. Run it where the data is, or set OSV_URL:\n    {reason}: " in text(audit, ["a.txt"])


def test_clean_packages_of_several_files_count_once() -> None:
    audit = joined([Audit(("a 1",)), Audit(("a 1", "b 2")), Audit((), {}, {"c 3": "no answer"})])
    assert text(audit, ["requirements/a.txt"]).splitlines() == [
        "advisories about the packages of a.txt:",
        "  2 clean, 0 with advisories",
        "  NOT CHECKED: 1. Run it where the data is, or set OSV_URL:",
        "    no answer: c 3",
    ]
    assert exit_code(Audit(("a 1",)), is_unchecked_allowed=False) == 0


def test_every_package_of_an_image_is_asked_about() -> None:
    for file in FILES:
        pins = [line for line in file.read_text().splitlines() if line and line[0].isalnum()]
        assert len(read(file.read_text(), "", "").unchecked) == len(pins) > 1
