"""Reports for CI: figures, their numbers, and gates that a run must pass. See docs/ci.md."""

from __future__ import annotations

from trainlog.report.content import Content, gather
from trainlog.report.evaluate import Gate, GateResult, judge, measure
from trainlog.report.write import write_report

__all__ = ["Content", "Gate", "GateResult", "gather", "judge", "measure", "write_report"]
