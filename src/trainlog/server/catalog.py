"""Which logs there are below the served folders, and which files of them may be opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainlog.catalog.live import LiveCatalog, LiveRun
from trainlog.errors import LogNotFound
from trainlog.storage.location import RemotePath

__all__ = ["Catalog", "about", "word"]


def word(value: Any) -> str:
    """A value of the metadata as a short text."""
    return "" if value is None else str(value)[:200]


def about(run: LiveRun, redact: Callable[[str], str]) -> dict[str, Any]:
    """One line of the list of runs."""
    facts = run.facts
    return {
        "id": run.id,
        "path": run.name,
        "codec": facts.format,
        "creature": word(facts.meta.get("creature")),
        "task": word(facts.meta.get("task")),
        "size": facts.size,
        "modified": facts.changed,
        "state": facts.state,
        "live": facts.state == "running",
        "frames": facts.frames,
        "duration": facts.duration,
        "reward": facts.last.get(facts.reward),
        "step": facts.last.get(facts.step),
        "error": redact(facts.error) if facts.error else "",
        **({"my": dict(run.notes)} if run.notes else {}),
    }


class Catalog(LiveCatalog):
    """The runs that are served; nothing outside of the folders is opened."""

    def find(self, id: str) -> LiveRun | None:
        """The log of that id; only ids that were given out lead to a file."""
        return self.entries.get(id)

    def named(self, name: str) -> LiveRun | None:
        """The log that the list calls by that name; never is a path made of what a client sends."""
        entry = next((entry for entry in list(self.entries.values()) if entry.name == name), None)
        if entry is None and not self._closed:
            self.scan()
            entry = next((entry for entry in list(self.entries.values()) if entry.name == name), None)
        return entry

    def is_inside(self, path: Path) -> bool:
        """Whether *path*, with all symbolic links followed, is one of the served files, or in a served folder."""
        if isinstance(path, RemotePath):
            return any(path.below(root) is not None for root in self.roots)
        real = Path(os.path.realpath(path))
        return any(real == root or (root in real.parents and root.is_dir()) for root in self.roots) or any(
            root.is_file() and real.parent == root.parent and real.name.startswith(root.name) for root in self.roots
        )

    def opened(self, entry: LiveRun) -> Path:
        """The file of *entry*, after another look at where it leads.

        Raises:
            LogNotFound: when it has gone, or has become a link that leads out.

        """
        for path in (entry.path, *entry.files):
            if path.exists() and not self.is_inside(path):
                raise LogNotFound("it is not in the served folder any more")
        if not entry.path.exists() and entry.path.name in entry.facts.files:
            raise LogNotFound("the file is not there any more")
        return entry.path
