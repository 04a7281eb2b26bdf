"""Users' notes on runs: names, tags, notes, and views of the dashboard, in one JSON file next to the logs."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from trainlog.errors import LogWriteError
from trainlog.storage.location import RemotePath
from trainlog.storage.locks import one_at_a_time
from trainlog.storage.replace import atomic_write

__all__ = ["NAME", "PREFIX", "Notes"]

NAME: Final = ".trainlog-notes.json"
PREFIX: Final = "my"
"""The prefix of their columns: ``my/name``, ``my/tags``, ``my/note``."""

_MOST_BYTES: Final = 16 << 20
_MOST_TAGS: Final = 32
_MOST_VIEWS: Final = 1000
_LETTERS: Final = {"name": 200, "note": 4000, "tag": 60, "view": 100, "address": 30_000}


class Notes:
    """The notes of one folder. A file that cannot be read counts as empty, and is not overwritten.

    Attributes:
        runs: the notes by the path of the run: any of ``name``, ``tags``, ``note``.
        views: the query part of the address of each view, by name.

    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Read the notes of *folder*."""
        self.path = folder / NAME
        self._read_only = read_only
        self._stamp: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        self.runs: dict[str, dict[str, Any]] = {}
        self.views: dict[str, str] = {}
        self.problem = ""
        self.refresh()

    def refusal(self) -> str:
        """Why notes cannot be written; empty if they can."""
        if self._read_only:
            return "the dashboard was started with --read-only"
        if isinstance(self.path, RemotePath):
            return "the logs are in an object storage, where notes are not stored"
        if self.problem:
            return self.problem
        if not self.path.parent.is_dir():
            return "the folder of the logs does not exist"
        return "" if os.access(self.path.parent, os.W_OK | os.X_OK) else "the folder of the logs is read-only"

    def refresh(self) -> None:
        """Read the file again if another process has changed it."""
        if isinstance(self.path, RemotePath):
            return
        try:
            status = self.path.lstat()
        except OSError:
            if self._stamp is not None:
                self._stamp, self.runs, self.views, self.problem = None, {}, {}, ""
            return
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
                raise ValueError("it is not a regular file, or it is too large")
            known = json.loads(self.path.read_bytes())
            self.runs = {str(path): _run(fields) for path, fields in known.get("runs", {}).items()}
            self.views = {str(name): str(query) for name, query in known.get("views", {}).items()}
            self.problem = ""
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            self.runs, self.views = {}, {}
            self.problem = f"{NAME} cannot be read ({error}); repair it or move it away"

    def annotate(self, run: str, fields: Mapping[str, Any]) -> None:
        """Store *fields* of *run*: ``name``, ``tags``, ``note``; empty ones are removed.

        Raises:
            ValueError: for other fields, or values that are too long.
            LogWriteError: if the file cannot be written.

        """
        run.encode()
        with self._changing():
            said = _run({**self.runs.get(run, {}), **fields})
            runs = {**self.runs, run: said}
            if not said:
                del runs[run]
            self._write(runs, self.views)

    def keep_view(self, name: str, query: str) -> None:
        """Store the address of a view under *name*; an empty one removes the view.

        Raises:
            ValueError: if there is no name, or too much to store.
            LogWriteError: if the file cannot be written.

        """
        name, query = _text(name, "view").strip(), _text(query, "address")
        if not name:
            raise ValueError("a view needs a name")
        with self._changing():
            views = {**self.views, name: query}
            if not query:
                del views[name]
            if len(views) > _MOST_VIEWS:
                raise ValueError(f"there are at most {_MOST_VIEWS} views")
            self._write(self.runs, views)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep other writers out between reading and writing, so that their changes are not lost."""
        is_remote = isinstance(self.path, RemotePath)
        with self._lock, nullcontext() if is_remote else one_at_a_time(self.path.parent):
            self.refresh()
            yield

    def _write(self, runs: dict[str, dict[str, Any]], views: dict[str, str]) -> None:
        if why := self.refusal():
            raise LogWriteError(why, path=self.path)
        text = json.dumps({"runs": runs, "views": views}, indent=1, ensure_ascii=False, sort_keys=True).encode()
        if len(text) > _MOST_BYTES:
            raise ValueError("there are too many notes")
        with atomic_write(self.path) as file:
            file.write(text)
        self.runs, self.views = runs, views


def _run(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not empty; raises ValueError for invalid ones."""
    if unknown := fields.keys() - {"name", "tags", "note"}:
        raise ValueError(f"a run has a name, tags and a note, but no {min(map(str, unknown))!r}")
    tags = fields.get("tags") or []
    if not isinstance(tags, list) or len(tags) > _MOST_TAGS:
        raise ValueError(f"tags must be a list of at most {_MOST_TAGS}")
    found: dict[str, Any] = {name: _text(fields.get(name) or "", name).strip() for name in ("name", "note")}
    found["tags"] = list(dict.fromkeys(tag for one in tags if (tag := _text(one, "tag").strip())))
    return {name: value for name, value in found.items() if value}


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > _LETTERS[what]:
        raise ValueError(f"this {what} is not a text of at most {_LETTERS[what]:,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"this {what} has characters that UTF-8 cannot encode") from None
    return value
