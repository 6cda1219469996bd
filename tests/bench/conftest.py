"""Makes `bench` importable, as the benchmarks are programs at the root of the repository and not a distribution."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)
