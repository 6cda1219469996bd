"""Fails when a module is covered by less than its share of tests: a well-tested project hides no untested file.

Reads the coverage data of the rungs that ran. Modules whose real test is real pods are named with their reason.
"""

import io
import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from coverage import Coverage

LEAST_PERCENT = 85.0
EXCEPTIONS = {
    "__main__.py": 0.0,  # thin command lines, run as programs by the simulator, cluster and e2e rungs
}


def main() -> int:
    """Prints each module below its limit; exit code 1 when there is one."""
    coverage = Coverage()
    coverage.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        with redirect_stdout(io.StringIO()):
            coverage.json_report(outfile=file.name)
        report = json.loads(Path(file.name).read_text())
    low = 0
    for name, module in sorted(report["files"].items()):
        percent, least = module["summary"]["percent_covered"], EXCEPTIONS.get(Path(name).name, LEAST_PERCENT)
        if percent < least:
            low += 1
            print(f"{name}: {percent:.0f} % covered, at least {least:.0f} % wanted; lines {module['missing_lines']}")
    total = report["totals"]["percent_covered"]
    print(f"{len(report['files'])} modules, {total:.1f} % covered in all, {low} below their limit")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
