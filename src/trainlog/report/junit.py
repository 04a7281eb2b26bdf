"""junit.xml: every gate as a test, as CI systems show tests."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from trainlog.report.content import Content
from trainlog.report.facts import human
from trainlog.report.tables import baseline_sentence

__all__ = ["junit"]

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(content: Content) -> str:
    """The document; without gates it has one test, that the logs could be read."""
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
    lines.append(f'  <testsuite name="{_safe(content.title)}" {counts}>')
    for group, name, failure in cases:
        case = f'    <testcase classname="{_safe(group)}" name="{_safe(name)}" time="0"'
        if failure is None:
            lines.append(f"{case}/>")
        else:
            lines += [f"{case}>", f'      <failure message="{_safe(failure)}"/>', "    </testcase>"]
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def _safe(text: str) -> str:
    return escape(_NOT_XML.sub("�", text), quote=True)
