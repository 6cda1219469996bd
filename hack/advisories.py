"""Asks for advisories about the pinned packages, and lists every package that could not be checked.

    advisories.py [FILE...]          default: the pins of the three images and of their builds
    OSV_URL=ADDRESS advisories.py    another source: an OSV service, such as a company's own

pip-audit asks, in an environment of its own. It calls a package clean that its source does not know, as behind an index
without the data, so this program reads its document instead.

Exit code 0: all were checked and are clean. 1: there are advisories. 2: some packages were not checked. With
ALLOW_UNCHECKED=1, 2 becomes 0.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "requirements"
FILES = tuple(PINS / f"{name}.txt" for name in ("operator", "collector", "simulator", "build"))
PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
SHOWN = 400


class Audit(NamedTuple):
    """Findings about packages, each as NAME VERSION."""

    clean: tuple[str, ...] = ()
    advisories: Mapping[str, Sequence[str]] = {}
    """By package: ids, and the versions that fix them."""
    unchecked: Mapping[str, str] = {}
    """By package: the reason."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Check the files; returns the exit code."""
    python = environment_of_pip_audit(Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"))
    source = environment.get("OSV_URL", "")
    files = [Path(each) for each in arguments] or FILES
    audit = joined(examine(file, python, source) for file in files)
    print(text(audit, [str(file) for file in files]))
    return exit_code(audit, is_unchecked_allowed=bool(environment.get("ALLOW_UNCHECKED")))


def environment_of_pip_audit(cache: Path) -> str:
    """The interpreter of an environment with the pinned pip-audit, which is made when it is missing."""
    folder = cache / "market-collector" / "pip-audit"
    python, pins = folder / "bin" / "python", PINS / "audit.txt"
    installed = folder / "installed.txt"
    if not installed.is_file() or installed.read_text() != pins.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)  # noqa: S603
        install = ("-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(pins))
        subprocess.run([python, *install], check=True)  # noqa: S603
        installed.write_text(pins.read_text())
    return str(python)


def examine(file: Path, python: str, source: str) -> Audit:
    """Ask about each package of a file of pins."""
    command = [python, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    options = [*(("-s", "osv", "--osv-url", source) if source else ()), "-f", "json", "-r", str(file)]
    ran = subprocess.run([*command, *options], capture_output=True, text=True)  # noqa: S603
    return read(file.read_text(), ran.stdout, ran.stderr)


def read(pins: str, document: str, errors: str) -> Audit:
    """The findings in pip-audit's document. A package of the pins that is not in it was not checked."""
    try:
        found: list[dict[str, Any]] = json.loads(document)["dependencies"]
    except (ValueError, KeyError):
        found = []
    known = {normal(each["name"]): each for each in found}
    reason = (errors.strip().splitlines() or ["pip-audit says nothing about it"])[-1][:SHOWN]
    clean, advisories, unchecked = list[str](), dict[str, list[str]](), dict[str, str]()
    for name, version in PACKAGE.findall(pins):
        package, entry = f"{name} {version}", known.get(normal(name))
        if entry is None or "vulns" not in entry:
            unchecked[package] = (entry or {}).get("skip_reason", reason).partition(f": {name}")[0]
        elif entry["vulns"]:
            advisories[package] = [advisory(each) for each in entry["vulns"]]
        else:
            clean.append(package)
    return Audit(tuple(clean), advisories, unchecked)


def normal(name: str) -> str:
    """The name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def advisory(entry: Mapping[str, Any]) -> str:
    """``CVE-2026-1 (fixed in 1.2, 2.0)``."""
    fixes = ", ".join(entry.get("fix_versions") or ())
    return f"{entry['id']} ({f'fixed in {fixes}' if fixes else 'no fix known'})"


def joined(audits: Iterable[Audit]) -> Audit:
    """All findings of several files. A package may be in many."""
    every = [*audits]
    clean = {package for each in every for package in each.clean}
    advisories = {package: ids for each in every for package, ids in each.advisories.items()}
    unchecked = {package: reason for each in every for package, reason in each.unchecked.items()}
    return Audit(tuple(sorted(clean)), advisories, {name: unchecked[name] for name in sorted(unchecked.keys() - clean)})


def text(audit: Audit, files: Sequence[str]) -> str:
    """The report. Packages that were not checked come last, so that nobody overlooks them."""
    lines = [f"advisories about the packages of {', '.join(Path(file).name for file in files)}:"]
    lines += [f"  {package}: {'; '.join(ids)}. Raise the pin" for package, ids in sorted(audit.advisories.items())]
    lines.append(f"  {len(audit.clean)} clean, {len(audit.advisories)} with advisories")
    if audit.unchecked:
        lines.append(f"  NOT CHECKED: {len(audit.unchecked)}. Run it where the data is, or set OSV_URL:")
        for reason in dict.fromkeys(audit.unchecked.values()):
            packages = [package for package, why in audit.unchecked.items() if why == reason]
            lines.append(f"    {reason}: {', '.join(packages)}")
    return "\n".join(lines)


def exit_code(audit: Audit, *, is_unchecked_allowed: bool) -> int:
    """0, 1 or 2; see above."""
    if audit.advisories:
        return 1
    return 2 if audit.unchecked and not is_unchecked_allowed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
