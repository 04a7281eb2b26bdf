"""UploadingWriter: a log in a bucket, which is written to a local file, and uploaded by a thread."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from trainlog.codec import Writer
from trainlog.errors import LogExists, LogInUse, LogWriteError, LogWriteWarning, TrainlogError, UnknownFormat
from trainlog.model import Frame, Kind
from trainlog.storage.location import PARTS, written_path
from trainlog.storage.locks import lock_owner
from trainlog.storage.parts import RemoteFolder, chain, chain_end, part_name, part_offsets, split_url
from trainlog.storage.replace import atomic_write
from trainlog.storage.source import Source
from trainlog.storage.upload import FrameEnd, Upload
from trainlog.table.table import Table
from trainlog.writers.combine import ForwardingWriter
from trainlog.writers.ticker import check_interval, wait_until

__all__ = ["LOCAL_FOLDER", "UploadingWriter", "begin_upload", "local_file"]

LOCAL_FOLDER: Final = "TRAINLOG_DIR"
"""The environment variable that names the folder of the local files; ``trainlog-runs`` in the working folder else."""

_EVERY: Final = 5.0  # seconds between two looks at the local file
_LONGEST_PAUSE: Final = 60.0  # between two attempts, while the bucket cannot be reached
_FIRST_PAUSE: Final = 0.2  # between two attempts, while somebody waits for the upload
_PATIENCE: Final = 30.0  # seconds that ``close`` waits


def local_file(url: str) -> Path:
    """Where the local file of the log at *url* is, when nothing else is said.

    Raises:
        UnknownFormat: when *url* is no address of a log.

    """
    scheme, folder, name = split_url(url)
    below = Path(os.environ.get(LOCAL_FOLDER) or "trainlog-runs", scheme, *filter(None, folder.split("/")), name)
    return written_path(below)


def begin_upload(
    url: str,
    local: Path,
    frame_end: Callable[[Path], FrameEnd | None],
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> Upload:
    """The upload of the log *local* to *url*, before that log is created or resumed.

    Args:
        url: the log in the bucket.
        local: the local file.
        frame_end: see `trainlog.storage.upload.Upload`.
        overwrite: replace a log that is there.
        resume: continue a log that is there. What the local file lacks of it is fetched.

    Raises:
        LogExists: when there is a log at *url*, and it is not to be overwritten or resumed; when it is to be resumed,
            and is another than the local one.
        UnknownFormat, MissingExtra: when *url* cannot be written.
        LogWriteError: when the bucket cannot be reached.

    """
    scheme, folder, name = split_url(url)
    if name != local.name:
        raise UnknownFormat(f"the local file of {url} is called {name!r}, too, not {local.name!r}")
    target = RemoteFolder(url[: -len(name) - 1] if folder else f"{scheme}://")
    listed = target.find_log(name)
    if listed and resume:
        _fetch(target, name, part_offsets(name, listed), local)
    elif listed and not overwrite:
        raise LogExists(f"there is a log already at {target.address(name)}, and it is never overwritten by default")
    upload = Upload(local.parent, target, frame_end, name, overwrite=overwrite, listed=listed)
    if listed and resume:
        upload.compare(name)
    return upload


def _fetch(target: RemoteFolder, name: str, parts: dict[int, int], local: Path) -> None:
    """Make *local* of what the bucket has, where it is not there, or is only the beginning of that."""
    end = chain_end(parts)
    have = local.stat().st_size if local.exists() else 0
    if have >= end > 0:
        return  # whether it is the same log is looked at later
    if owner := lock_owner(local):
        raise LogInUse(f"{owner} is writing the local file, which lacks some of the log in the bucket", path=local)
    if not end:
        raise LogExists(f"{target.address(name)} is there, and is no log in parts, which could be resumed")
    with atomic_write(local) as file:
        for start, stop in chain(parts):
            data = target.read(f"{name}{PARTS}/{part_name(start)}", 0, stop - start)
            if len(data) != stop - start:
                raise LogWriteError(f"a part of {target.address(name)} changed while it was fetched")
            file.write(data)
        file.flush()
        if have:
            with Source(local) as old, Source(file.name) as new:
                if old.checksum(have) != new.checksum(have):
                    raise LogExists(f"{target.address(name)} is another log than the local file", path=local)


class UploadingWriter(ForwardingWriter):
    """A log that is written to a local file by another writer, and uploaded by a thread.

    The file is the truth: a call returns when the other writer's does, whatever the network does. The thread looks
    every few seconds for whole frames that are new. While the bucket cannot be reached, one `LogWriteWarning` says so.

    Attributes:
        upload: what is uploaded, from where, and to where.
        url: the log in the bucket.
        error: why the last attempt has not sent everything; empty when it has.

    """

    def __init__(self, writer: Writer, upload: Upload, every: float = _EVERY, patience: float = _PATIENCE) -> None:
        """Start the thread.

        Args:
            writer: writes the local file.
            upload: the upload of that file, see `begin_upload`.
            every: seconds between two looks at the file.
            patience: seconds that ``close`` waits for the thread.

        """
        check_interval(every)
        super().__init__(writer)
        self.resumed_at = writer.resumed_at
        self.put = writer.put  # type: ignore[method-assign]  # on the way of the training loop
        self.upload = upload
        self.url = upload.target.address(str(upload.only))
        self.error = ""
        self._every = every
        self._patience = patience
        self._pid = os.getpid()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._asked = 0  # how often everything was asked for,
        self._given = 0  # and which of that has been sent
        self._stopping = self._closed = False
        self._has_warned = False  # that the bucket cannot be reached
        self._warning: Warning | None = None  # that is an error, and was raised in the thread
        arguments = weakref.ref(self), self._wake, every  # so that a writer that is dropped ends its thread
        self._thread = threading.Thread(target=_run, args=arguments, name="trainlog upload", daemon=True)
        self._thread.start()

    @property
    def local(self) -> Path:
        """The local file."""
        return self.upload.source / str(self.upload.only)

    def write(self, frame: Frame) -> None:
        """Write *frame* to the local file."""
        self._writer.write(frame)

    def put(self, time: float, kind: Kind, data: Mapping[Any, Any]) -> None:
        """Write a frame to the local file."""
        self._writer.put(time, kind, data)

    def put_many(self, frames: Sequence[Frame]) -> None:
        """Write *frames* to the local file."""
        self._writer.put_many(frames)

    def write_table(self, table: Table) -> None:
        """Write the rows of *table* to the local file."""
        self._writer.write_table(table)

    def wait(self, seconds: float) -> bool:
        """Wait until everything that was written before this call is in the bucket, at most so many seconds.

        Returns:
            Whether it is. What is not is sent later, or by ``trainlog sync``.

        """
        if self._pid != os.getpid() or self._thread is threading.current_thread():
            return False
        asked = self._asked = self._asked + 1
        self._wake.put(None)
        wait_until(lambda: self._given >= asked or not self._thread.is_alive(), seconds)
        return self._given >= asked

    def close(self) -> None:
        """Close the local file, wait a while for the upload, and warn of what is not in the bucket then.

        May be called again, and goes on where an exception of the caller ended it.

        Raises:
            LogWriteError: as the other writer.

        """
        if self._closed:
            return
        failed: Exception | None = None
        try:
            self._writer.close()
        except (OSError, Warning) as error:  # it is closed all the same; any other exception is the caller's
            failed = error
        complete = self.wait(self._patience)
        self._stopping = self._closed = True
        self._wake.put(None)
        if self._pid == os.getpid() and not complete:
            _warn(self._what_waits())
        failed = failed or self._warning
        if failed is not None:
            raise failed

    def _what_waits(self) -> str:
        only = str(self.upload.only)
        size = sum(waiting.size for name, waiting in self.upload.waiting.items() if name != only)
        with contextlib.suppress(OSError):
            size += max(self.local.stat().st_size - self.upload.end(only), 0)
        why = f" ({self.error})" if self.error else ""
        return (
            f"{size:,} bytes of it are not at {self.url} yet{why}; nothing is lost: they are in {self.local}, and "
            f"`trainlog sync {self.local} {self.upload.target.url}` sends them"
        )

    def _look(self, pause: float) -> float:
        """Send what is new; after *pause* seconds, and return those until the next time."""
        asked = self._asked
        if self._round(finish=asked > self._given):
            self._given = asked
            return self._every
        if asked > self._given:
            return _FIRST_PAUSE if pause >= self._every else min(2 * pause, self._every)
        return min(2 * pause, _LONGEST_PAUSE) if self.error else self._every

    def _round(self, *, finish: bool) -> bool:
        """Send what is new; whether all of it is there."""
        try:
            self.upload.step(finish=finish)
        except (TrainlogError, OSError) as error:
            self.error = str(error)
        else:
            failed = [waiting.why for waiting in self.upload.waiting.values() if waiting.failed]
            self.error = failed[0] if failed else ""
            if not failed:
                self.upload.overwrite = False  # the log that was there is gone, and this one is never to be
                self._has_warned = False
        if self.error and not self._has_warned:
            self._has_warned = True
            try:
                _warn(f"{self.url}: cannot upload ({self.error}); nothing is lost: all is in {self.local}")
            except Warning as warning:
                self._warning = warning
        return not self.error and not self.upload.waiting


def _run(reference: weakref.ref[UploadingWriter], wake: SimpleQueue[None], pause: float) -> None:
    while True:
        with contextlib.suppress(Empty):
            wake.get(timeout=pause)
        writer = reference()
        if writer is None or writer._stopping:
            return
        pause = writer._look(pause)
        del writer


def _warn(text: str) -> None:
    warnings.warn(LogWriteWarning(text), stacklevel=3)
