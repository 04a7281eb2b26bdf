"""The codec of TensorBoard's event files; a folder of them is one log. Registered as ``tensorboard``."""

from __future__ import annotations

from pathlib import Path

from trainlog.codec import Codec, Reader, Writer
from trainlog.model import Header

__all__ = ["TensorBoardCodec"]


class TensorBoardCodec(Codec):
    """Event files, as the ``SummaryWriter`` of TensorFlow, PyTorch and tensorboardX writes them."""

    name = "tensorboard"
    suffixes = (".tfevents",)
    description = "TensorBoard's event files, one or a folder of them"
    embeds_images = True
    reads_folders = True

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether *path* is an event file, or a folder with event files."""
        from trainlog.codecs.tensorboard.reader import event_files
        from trainlog.codecs.tensorboard.wire import is_event_file

        return bool(event_files(path)) if path.is_dir() else is_event_file(head)

    def read(self, path: Path) -> Reader:
        """Open the event file at *path*, or all event files in that folder."""
        from trainlog.codecs.tensorboard.reader import TensorBoardReader

        return TensorBoardReader(path)

    def write(self, path: Path, header: Header) -> Writer:
        """Create an event file at *path*."""
        from trainlog.codecs.tensorboard.writer import TensorBoardWriter

        return TensorBoardWriter(path, header)
