"""Buckets for tests: one in memory that fails when it is told to, and what is in one, read by fsspec alone."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

import trainlog


class FaultyFileSystem(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """``faulty://``: a file system in memory, and what goes wrong with it."""

    protocol = "failing"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    lock: ClassVar[threading.Lock] = threading.Lock()

    before: ClassVar[Callable[[str, str], None] | None] = None
    """Called with the operation and the path before each write; what it raises is raised."""
    after: ClassVar[Callable[[str, str], None] | None] = None
    """The same after it: the object is there, and the caller is told that it failed."""

    @classmethod
    def heal(cls) -> None:
        cls.before = cls.after = None

    def _tell(self, hook: Callable[[str, str], None] | None, what: str, path: str) -> None:
        if hook is not None:
            hook(what, path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._tell(type(self).before, "write", path)
        with self.lock:  # of two that create an object one does
            super().pipe_file(path, value, mode=mode, **kwargs)
        self._tell(type(self).after, "write", path)

    def rm_file(self, path: str) -> None:
        self._tell(type(self).before, "delete", path)
        super().rm_file(path)
        self._tell(type(self).after, "delete", path)

    def find(self, path: str, **kwargs: Any) -> Any:
        self._tell(type(self).before, "list", path)
        return super().find(path, **kwargs)


fsspec.register_implementation("failing", FaultyFileSystem, clobber=True)


def sometimes(chance: float, seed: int, error: Callable[[], Exception] = ConnectionError) -> Callable[[str, str], None]:
    """A fault that happens at random."""
    dice, lock = random.Random(seed), threading.Lock()

    def fail(what: str, path: str) -> None:
        with lock:
            if dice.random() < chance:
                raise error()

    return fail


def new_bucket(scheme: str = "memory") -> str:
    return f"{scheme}://bucket-{uuid.uuid4().hex}"


def objects(url: str, *, tidied: bool = False) -> dict[str, bytes]:
    """All objects below *url*, by their names relative to it; *tidied* if one may be deleted while this looks."""
    fs, root = fsspec.core.url_to_fs(url)
    fs.invalidate_cache()
    found: dict[str, bytes] = {}
    for name in sorted(fs.find(root)):
        try:
            found[name[len(root) + 1 :]] = fs.cat_file(name)
        except FileNotFoundError:
            if tidied:
                return objects(url, tidied=True)
            assert "/." in name  # a part that is made while this looks has another name until it is whole
    return found


def log_in(url: str, name: str, *, tidied: bool = False) -> bytes:
    """The bytes of the log *name* in the bucket: the chain of its parts."""
    parts = {int(one): data for one, data in objects(f"{url}/{name}.parts", tidied=tidied).items() if len(one) == 20}
    found = b""
    while data := parts.get(len(found)):
        found += data
    return found


def check_prefix(url: str, name: str, local: bytes, folder: Path) -> int:
    """What is in the bucket is a beginning of *local*, in whole frames; how many bytes."""
    found = log_in(url, name)
    assert local.startswith(found)
    if found:
        copy = folder / f"copy-{uuid.uuid4().hex}.flog"
        copy.write_bytes(found)
        for _ in trainlog.open(copy).frames(on_damage="raise"):  # which a part of a frame at the end would be
            pass
        copy.unlink()
    return len(found)
