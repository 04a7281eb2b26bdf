"""junit.xml: every gate as a test of the CI system."""

from __future__ import annotations

from trainlog.report.content import Content
from trainlog.report.facts import human
from trainlog.report.html import xml_text
from trainlog.report.tables import baseline_sentence

__all__ = ["junit"]


def junit(content: Content) -> str:
    """Render the document; without gates it has one passed test for each log."""
    cases: list[tuple[str, str, str | None]] = []
    for result in content.results:
        measured = ", ".join(f"{what} = {human(value)}" for what, value in result.measured) or "it is false"
        cases.append((f"gate.{result.log}", result.gate, None if result.passed else measured))
    if content.comparison is not None:
        one = content.comparison
        cases.append(("baseline", one.score, None if one.passed else baseline_sentence(one)))
    if not cases:
        cases = [("logs", log.name, None) for log in content.logs]
    failures = sum(failure is not None for _, _, failure in cases)
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="0" time="0"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites {counts}>"]
    lines.append(f'  <testsuite name="{xml_text(content.title)}" {counts}>')
    for group, name, failure in cases:
        case = f'    <testcase classname="{xml_text(group)}" name="{xml_text(name)}" time="0"'
        if failure is None:
            lines.append(f"{case}/>")
        else:
            lines += [f"{case}>", f'      <failure message="{xml_text(failure)}"/>', "    </testcase>"]
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])
