"""The benchmarks are no part of the wheel; they are imported from the repository."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
