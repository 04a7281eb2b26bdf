"""The preloaded library: how it is built, what it is told, and the journal that it writes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).with_name("preload.c")


def build(folder: Path) -> Path:
    """Compile the library into *folder*; skips the test where there is no compiler, or no LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    library = folder / "preload.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SOURCE, "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library


class Preloaded:
    """The library in a process that was started with it."""

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None)
        self._c.faults_plan.argtypes = self._c.faults_mark.argtypes = [ctypes.c_char_p]
        self._c.faults_journal.argtypes = [ctypes.c_char_p]
        self._c.faults_signal.argtypes = [ctypes.py_object, ctypes.c_long, ctypes.c_int]
        self._c.faults_left.restype = self._c.faults_count.restype = ctypes.c_long
        prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.py_object)
        self._trace = prototype(("faults_trace", self._c))

    def plan(self, folder: Path, seed: int, rate: int, burst: int, calls: str) -> None:
        """Let *calls* on files below *folder* go wrong, *rate* of a thousand, for about *burst* calls each time."""
        self._c.faults_plan(f"{seed + 1} {rate} {burst} {calls} {folder}".encode())

    def slow(self, folder: Path, microseconds: int) -> None:
        """Let each write and sync of files below *folder* take so much longer."""
        self.plan(folder, 0, 0, 1, "write,fsync")
        self._c.faults_slow(microseconds)

    def on(self, now: bool) -> None:
        """Whether system calls go wrong now."""
        self._c.faults_on(int(now))

    def count(self) -> int:
        """How many system calls went wrong so far."""
        return int(self._c.faults_count())

    def journal(self, file: Path, folder: Path) -> None:
        """Record every change below *folder* in *file* from now on."""
        self._c.faults_journal(f"{file} {folder}".encode())

    def mark(self, text: str) -> None:
        """Put *text* into the journal."""
        self._c.faults_mark(text.encode())

    def signal_at(self, bytecode: int, number: int) -> None:
        """Send the signal *number* to this process before that bytecode of what follows, counted from 1."""
        self._c.faults_signal(self._trace, bytecode, number)
        sys.settrace(self._trace)

    def stop(self) -> bool:
        """Send no signal any more; whether it was sent."""
        sys.settrace(None)
        return not self._c.faults_left()


class Op(NamedTuple):
    """One record of a journal.

    Attributes:
        op: C create, W write, T truncate, S sync of a file, D sync of a folder, R rename, L link, U unlink, M mkdir,
            X rmdir, K a mark of the program.
        file: the inode, for C, W, T, S.
        number: the offset of a write, the size of a truncation.
        data: what was written; else a path, or the mark's text.
        target: the second path of a rename or a link.

    """

    op: str
    file: int
    number: int
    data: bytes
    target: bytes

    @property
    def path(self) -> str:
        return self.data.decode()


def read_journal(file: Path) -> Iterator[Op]:
    """Yield what the library recorded."""
    with file.open("rb") as stream:
        while line := stream.readline():
            op, inode, number, size, size2 = line.split()
            yield Op(op.decode(), int(inode), int(number), stream.read(int(size)), stream.read(int(size2)))
