"""UploadingWriter: a log in a bucket, which is written to a local file and uploaded by a thread."""

from __future__ import annotations

import contextlib
import os
import shlex
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from trainlog.codec import Writer
from trainlog.errors import LogExists, LogInUse, LogWriteError, LogWriteWarning, TrainlogError, UnknownFormat
from trainlog.storage.location import written_path
from trainlog.storage.locks import lock_owner
from trainlog.storage.parts import RemoteFolder, chain, chain_end, is_leftover, part_name, part_offsets, split_url
from trainlog.storage.replace import atomic_write
from trainlog.storage.source import Source
from trainlog.storage.upload import FrameEnd, Upload
from trainlog.writers.combine import ForwardingWriter
from trainlog.writers.ticker import check_interval, wait_until

__all__ = ["LOCAL_FOLDER", "UploadingWriter", "begin_upload", "local_file"]

LOCAL_FOLDER: Final = "TRAINLOG_DIR"
"""The environment variable with the folder of the local files; by default ``trainlog-runs`` in the working folder."""

_EVERY: Final = 5.0  # seconds between two looks at the local file
_LONGEST_PAUSE: Final = 60.0  # between two attempts, while the bucket cannot be reached
_FIRST_PAUSE: Final = 0.2  # between two attempts, while a caller waits for the upload
_PATIENCE: Final = 30.0  # seconds that ``close`` waits


def local_file(url: str) -> Path:
    """The default path of the local file of the log at *url*.

    Raises:
        UnknownFormat: when *url* is not the address of a log.

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
    """Prepare the upload of the log *local* to *url*, before that log is created or resumed.

    Args:
        url: the log in the bucket.
        local: the local file.
        frame_end: see `trainlog.storage.upload.Upload`.
        overwrite: replace an existing log.
        resume: continue an existing log. The part that the local file lacks is fetched.

    Raises:
        LogExists: when there is a log at *url* that should be neither overwritten nor resumed, or that should be
            resumed but is not the same log as the local one.
        UnknownFormat, MissingExtra: when *url* cannot be written.
        LogWriteError: when the bucket cannot be reached.

    """
    scheme, folder, name = split_url(url)
    if name != local.name:
        raise UnknownFormat(f"the local file of {url} is called {name!r}, too, not {local.name!r}")
    target = RemoteFolder(url.rpartition("/")[0] if folder else f"{scheme}://")
    listed = target.find_log(name)
    exists = name in listed or not all(map(is_leftover, listed))
    if exists and resume:
        _fetch(target, name, part_offsets(name, listed), local)
    elif exists and not overwrite:
        raise LogExists(f"there is a log already at {target.address(name)}, and it is never overwritten by default")
    upload = Upload(local.parent, target, frame_end, name, overwrite=overwrite, listed=listed)
    if exists and resume:
        upload.compare(name)
    return upload


def _fetch(target: RemoteFolder, name: str, parts: dict[int, int], local: Path) -> None:
    """Fetch the log in the bucket to *local*, if that does not exist or is only the beginning of it."""
    end = chain_end(parts)
    have = local.stat().st_size if local.exists() else 0
    if have >= end > 0:
        return  # whether it is the same log is checked later
    if owner := lock_owner(local):
        raise LogInUse(f"{owner} is writing the local file, which lacks some of the log in the bucket", path=local)
    if not end:
        raise LogExists(f"{target.address(name)} exists, but is not stored in parts and cannot be resumed")
    with atomic_write(local) as file:
        for start, stop in chain(parts):
            data = target.read(part_name(name, start), 0, stop - start)
            if len(data) != stop - start:
                raise LogWriteError(f"a part of {target.address(name)} changed while it was fetched")
            file.write(data)
        file.flush()
        if have:
            with Source(local) as old, Source(file.name) as new:
                if old.checksum(have) != new.checksum(have):
                    raise LogExists(f"{target.address(name)} is not the same log as the local file", path=local)


class UploadingWriter(ForwardingWriter):
    """A log that is written to a local file by another writer, and uploaded by a thread.

    The file is the source of truth: a call returns when the other writer's does, whatever the network does. The thread
    checks every few seconds for whole new frames. If the bucket cannot be reached, one `LogWriteWarning` says so.

    Attributes:
        upload: what is uploaded, from where, and to where.
        url: the log in the bucket.
        error: why the last attempt did not send everything; empty if it did.

    """

    def __init__(self, writer: Writer, upload: Upload, every: float = _EVERY, patience: float = _PATIENCE) -> None:
        """Start the thread.

        Args:
            writer: writes the local file.
            upload: the upload of that file, see `begin_upload`.
            every: seconds between two checks of the file.
            patience: seconds that ``close`` waits for the thread.

        """
        check_interval(every)
        super().__init__(writer)
        self.resumed_at = writer.resumed_at
        self.upload = upload
        self.url = upload.target.address(str(upload.only))
        self.error = ""
        self._every = every
        self._patience = patience
        self._pid = os.getpid()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._asked = 0  # number of requests to send everything
        self._given = 0  # the last of these requests that was fulfilled
        self._stopping = self._closed = False
        self._is_complete = False  # whether everything was in the bucket when this writer was closed
        self._has_warned = False  # about a bucket that cannot be reached
        self._warning: Warning | None = None  # a warning that was raised as an error in the thread
        arguments = weakref.ref(self), self._wake, every  # so that the thread ends when the writer is dropped
        self._thread = threading.Thread(target=_run, args=arguments, name="trainlog upload", daemon=True)
        self._thread.start()

    @property
    def local(self) -> Path:
        """The local file."""
        return self.upload.source / str(self.upload.only)

    def wait(self, seconds: float) -> bool:
        """Wait until everything written before this call is in the bucket, for at most *seconds*.

        Returns:
            Whether it is. The rest is sent later, or by ``trainlog sync``.

        """
        if self._pid != os.getpid() or self._thread is threading.current_thread():
            return False
        if self._closed:  # the thread has ended, and nothing was written since
            return self._is_complete
        asked = self._asked = self._asked + 1
        self._wake.put(None)
        wait_until(lambda: self._given >= asked or not self._thread.is_alive(), seconds)
        return self._given >= asked

    def close(self) -> None:
        """Close the local file, wait a while for the upload, and warn about data that is not in the bucket by then.

        Can be called again, and continues where an exception interrupted it.

        Raises:
            LogWriteError: as the other writer.

        """
        if self._closed:
            return
        failed: Exception | None = None
        try:
            self._writer.close()
        except (OSError, Warning) as error:  # it is closed all the same; any other exception propagates
            failed = error
        self._is_complete = self.wait(self._patience)
        self._stopping = self._closed = True
        self._wake.put(None)
        if self._pid == os.getpid() and not self._is_complete:
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
        command = shlex.join(["trainlog", "sync", str(self.local), self.upload.target.url])
        return (
            f"{size:,} bytes of it are not at {self.url} yet{why}; nothing is lost: they are in {self.local}, and "
            f"`{command}` sends them"
        )

    def _look(self, pause: float) -> float:
        """Send new data after a pause of *pause* seconds; returns the seconds until the next time."""
        asked = self._asked
        if self._round(finish=asked > self._given):
            self._given = asked
            return self._every
        if asked > self._given:
            return _FIRST_PAUSE if pause >= self._every else min(2 * pause, self._every)
        return min(2 * pause, _LONGEST_PAUSE) if self.error else self._every

    def _round(self, *, finish: bool) -> bool:
        """Send new data; returns whether everything is in the bucket."""
        try:
            self.upload.step(finish=finish)
        except (TrainlogError, OSError) as error:
            self.error = str(error)
        else:
            failed = [waiting.why for waiting in self.upload.waiting.values() if waiting.failed]
            self.error = failed[0] if failed else ""
            if not failed:
                self.upload.overwrite = False  # the old log is gone, and this one must never be overwritten
                self._has_warned = False
        if self.error and not self._has_warned:
            self._has_warned = True
            try:
                _warn(f"{self.url}: cannot upload ({self.error}); nothing is lost: everything is in {self.local}")
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
