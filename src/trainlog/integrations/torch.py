"""The API of TensorBoard's writer, for scripts that use it; needs neither PyTorch nor TensorBoard.

::

    from trainlog.integrations.torch import SummaryWriter      # was: from torch.utils.tensorboard import SummaryWriter
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainlog.codecs.plain_object import plain_metadata
from trainlog.conventions import hyperparameters_in
from trainlog.errors import LogInUse, UnsupportedFrame
from trainlog.integrations import NotKept, is_number, number, numbered, stats
from trainlog.media import MediaRecorder, bins_of_tensorboard
from trainlog.model import EndState
from trainlog.recorder import TrainingRecorder
from trainlog.run_end import ClosedByBlock

__all__ = ["SummaryWriter"]


def _no_place(name: str) -> Callable[..., None]:
    def call(self: SummaryWriter, *_: Any, **__: Any) -> None:
        self.not_kept.say(f"what {name} gives")

    call.__name__ = name
    call.__doc__ = "Not kept; warns once."
    return call


class SummaryWriter(ClosedByBlock):
    """Writes ``<log_dir>/run.flog`` with the API of ``torch.utils.tensorboard.SummaryWriter``.

    The data of every call are in the log when it returns. Scalars are stats frames with ``step`` and the tag as key, in
    their original precision; texts, images, videos, figures, sounds and histograms are events, see `trainlog.media`;
    hyperparameters are metadata. Calls whose data a log cannot hold warn once.

    An existing log in the folder is continued, where TensorBoard would start a second file.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        **settings: Any,
    ) -> None:
        """Create or continue the log.

        Args:
            log_dir: the folder, or the log itself (``run.flog``); by default ``runs/`` and a name made of the time, the
                host and *comment*.
            comment: see *log_dir*.
            purge_step: training continues from this step: frames of this and later steps are superseded, see
                `trainlog.TrainingRecorder.rewind`.
            max_queue: ignored, because nothing is buffered.
            flush_secs: ignored as well.
            filename_suffix: is appended to ``run``.
            **settings: more arguments of `trainlog.TrainingRecorder`.

        Raises:
            LogWriteError: when the log cannot be created.

        """
        if log_dir is None:
            log_dir = Path("runs", time.strftime("%b%d_%H-%M-%S_") + socket.gethostname() + comment)
        folder = Path(log_dir)
        is_log = folder.suffix == ".flog"
        self._path = folder if is_log else folder / f"run{filename_suffix}.flog"
        self.log_dir = os.fspath(log_dir)
        self.not_kept = NotKept()
        self._settings = {"resume": not settings.get("overwrite", False), **settings}
        self._open()
        self._settings |= {"resume": True, "overwrite": False}  # when it is opened again
        if purge_step is not None:
            self.log.rewind(int(purge_step) - 1)

    def _open(self) -> None:
        """Open the log; if the one of this folder is already being written, another one next to it."""
        for path in numbered(self._path):
            with suppress(LogInUse):
                self.log = TrainingRecorder(path, **self._settings)
                self._path = path
                break
        self._began = time.time() - self.log.now()
        self._media = MediaRecorder(self.log)
        self._is_open = True

    def _at(self, walltime: float | None) -> float | None:
        """The time of a frame; a closed writer is opened again, like TensorBoard's."""
        if not self._is_open:
            self._open()
        return None if walltime is None else walltime - self._began

    def _scalars(self, values: Mapping[str, Any], step: Any, walltime: float | None) -> None:
        frame = stats(values, step)
        for tag, value in frame.items():
            if not is_number(value):
                raise UnsupportedFrame(f"the scalar {tag!r} must be one number, not {type(value).__name__}")
        time = self._at(walltime)
        self.log.record_stats_frame(time, frame)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Record a number; its precision is always kept.

        Raises:
            UnsupportedFrame: when it is neither a number nor a tensor with one element.
            As `trainlog.TrainingRecorder.record_stats_frame`.

        """
        self._scalars({tag: scalar_value}, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Record several numbers in one frame, as ``main_tag/tag``; raises as `add_scalar`."""
        self._scalars({f"{main_tag}/{tag}": one for tag, one in tag_scalar_dict.items()}, global_step, walltime)

    def add_tensor(self, tag: str, tensor: Any, global_step: int | None = None, walltime: float | None = None) -> None:
        """Record an array; its column has the same shape."""
        time = self._at(walltime)
        self.log.record_stats_frame(time, stats({tag: tensor}, global_step))

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Record a text; CleanRL's table of hyperparameters is added to the metadata, too."""
        self._event(walltime, "text", global_step, {"tag": tag, "msg": str(text_string)})
        if values := hyperparameters_in(tag, str(text_string)):
            self.log.update_metadata(values)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Add hyperparameters to the metadata, and record numbers that belong to them.

        Several sets in one folder, distinguished by *run_name*, are stored under these names.
        """
        self._at(None)
        values = plain_metadata(hparam_dict)
        self.log.update_metadata(values if run_name is None else {run_name: values})
        if metric_dict:
            self._scalars(metric_dict, global_step, None)

    def _event(self, walltime: float | None, kind: str, step: Any, data: Mapping[str, Any]) -> None:
        at = {} if step is None else {"step": number(step)}
        time = self._at(walltime)
        self.log.record_event(time, kind, {**at, **data})

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Record the distribution of *values*, by default in TensorBoard's bins; *max_bins* is ignored.

        Raises:
            ValueError: when none of them is finite.

        """
        time = self._at(walltime)
        edges = bins_of_tensorboard() if isinstance(bins, str) and bins == "tensorflow" else bins
        self._media.histogram(time, tag, values, bins=edges, step=global_step)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Record an image; see `trainlog.media.MediaRecorder.image`."""
        time = self._at(walltime)
        self._media.image(time, tag, img_tensor, axes=dataformats, step=global_step)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Record several images, each as a separate image."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """Record the image; its boxes are not kept, with a single warning."""
        self.not_kept.say("the boxes of add_image_with_boxes")
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Record a Matplotlib figure, or a list of figures, and close them."""
        several = isinstance(figure, Iterable) and not hasattr(figure, "savefig")
        time = self._at(walltime)
        for i, one in enumerate(figure if several else [figure]):
            self._media.figure(time, f"{tag}/{i}" if several else tag, one, step=global_step)
            if close:
                from matplotlib import pyplot

                pyplot.close(one)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Record videos, shape (N, T, C, H, W); see `trainlog.media.MediaRecorder.video`."""
        time = self._at(walltime)
        self._media.video(time, tag, vid_tensor, fps=fps, axes="NTCHW", step=global_step)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Record a mono sound."""
        time = self._at(walltime)
        self._media.sound(time, tag, snd_tensor, sample_rate, step=global_step)

    add_graph = _no_place("add_graph")
    add_onnx_graph = _no_place("add_onnx_graph")
    add_embedding = _no_place("add_embedding")
    add_mesh = _no_place("add_mesh")
    add_pr_curve = _no_place("add_pr_curve")
    add_pr_curve_raw = _no_place("add_pr_curve_raw")
    add_histogram_raw = _no_place("add_histogram_raw")
    add_custom_scalars = _no_place("add_custom_scalars")
    add_custom_scalars_marginchart = _no_place("add_custom_scalars_marginchart")
    add_custom_scalars_multilinechart = _no_place("add_custom_scalars_multilinechart")

    def get_logdir(self) -> str:
        """The folder, as it was given."""
        return self.log_dir

    def flush(self) -> None:
        """Write frames that wait because the disk was full; everything else is already written."""
        if self._is_open:
            self.log.flush()

    def close(self, state: EndState | None = None, reason: str = "") -> None:
        """Close the log, optionally with how the run ended; a later call opens it again."""
        self._is_open = False
        self.log.close(state, reason)
