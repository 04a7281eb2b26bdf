"""junit.xml: every log, gate and baseline as a test of the CI system."""

from __future__ import annotations

from trainlog.report.content import Content
from trainlog.report.facts import human
from trainlog.report.html import xml_text
from trainlog.report.tables import baseline_sentence

__all__ = ["junit"]


def junit(content: Content) -> str:
    """Render the document, according to the schemas of Jenkins' xUnit plugin and of GitLab."""
    cases: list[tuple[str, str, str | None]] = [
        ("log", one.log, None if one.passed else f"{one.verdict}: {'; '.join(one.problems)}") for one in content.checks
    ]
    for result in content.results:
        measured = ", ".join(f"{what} = {human(value)}" for what, value in result.measured) or "it is false"
        cases.append((f"gate.{result.log}", result.gate, None if result.passed else result.error or measured))
    if content.comparison is not None:
        compared = content.comparison
        cases.append(("baseline", compared.score, None if compared.passed else baseline_sentence(compared)))
    cases += [("report", failure.part, failure.reason) for failure in content.failures]
    failures = sum(failure is not None for _, _, failure in cases)
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<testsuites {counts} time="0">']
    lines.append(f'  <testsuite name="{xml_text(content.title)}" {counts} skipped="0" time="0">')
    for group, name, failure in cases:
        case = f'    <testcase classname="{xml_text(group)}" name="{xml_text(name)}" time="0"'
        if failure is None:
            lines.append(f"{case}/>")
        else:
            text = xml_text(failure)  # GitLab shows the text, Jenkins the attribute
            lines += [f"{case}>", f'      <failure message="{text}">{text}</failure>', "    </testcase>"]
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])
