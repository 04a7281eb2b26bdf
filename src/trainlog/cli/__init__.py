"""The command line: one module per command, imported when it is called. No other package prints."""

from __future__ import annotations

import atexit
import codecs
import gc
import importlib
import io
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from trainlog import __version__
from trainlog.cli.output import echo
from trainlog.errors import ExpressionError, TrainlogError, TrainlogWarning
from trainlog.printable import printable
from trainlog.redaction import without_passwords

__all__ = ["cli", "main"]

# In the order of first use.
_COMMANDS: Final = {
    "demo": "train a MuJoCo agent and record it",
    "list": "list the runs of folders, filtered and sorted",
    "compare": "compare groups of runs",
    "info": "summarise logs: frames, keys, times, damage",
    "dump": "print the frames of a log as JSON lines",
    "tail": "print the last frames of a log and follow it",
    "convert": "convert logs to another format",
    "compact": "compress finished logs, or copy a tree of runs to Parquet",
    "sync": "upload the logs of a folder to a bucket, once or continuously",
    "plot": "draw the curves of logs",
    "diff": "show what differs between two runs",
    "report": "write figures, tables and gates for CI",
    "serve": "show logs in the browser, even while they are being written",
    "replay": "show the robot of a log in 3-D, render a video, or check that the simulation is reproducible",
    "watch": "show the latest numbers of a log in the terminal",
    "verify": "check logs for damage",
    "repair": "write the whole frames of a damaged log to a new one",
    "codecs": "list the supported formats",
}


_MODULES: Final = {"list": "list_runs"}  # a module called `list` would shadow the builtin here


class _Terminated(SystemExit):
    """SIGTERM or SIGHUP was received: unfinished work of the command is undone, as after Ctrl-C."""


class _ReaderLeft(Exception):
    """The reader of the output (head, less) has exited. For an OSError, click would exit with 1, which means damage."""


class _Commands(click.Group):
    """Imports the module of a command when it is called, not for the list of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"trainlog.cli.{_MODULES.get(name, name)}").command
        return command

    def make_context(self, *where: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*where, **more)
        except BrokenPipeError as error:  # of --help
            raise _ReaderLeft from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderLeft from error
        except TrainlogError as error:
            # Before click handles it: TruncatedLog is an EOFError, which click treats as the end of the input.
            text = str(error)  # an expression has its own line there, with a mark under it
            raise click.ClickException(text if isinstance(error, ExpressionError) else printable(text)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trainlog")
def cli() -> None:
    """The flight recorder of reinforcement learning and robotics."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and exit with 0 for success, or with 2 and one line of explanation for wrong use or input.

    The exit code is 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, and 141 if the reader of the output has
    exited, as for programs that SIGPIPE ends.
    """
    _open_closed_streams()
    _escape_missing_letters()
    warnings.showwarning = _show_warning
    atexit.register(gc.freeze)  # the system frees all memory at exit anyway; a last collection costs 20 ms
    try:
        with _ended_by_signals():
            code = _run(arguments)
        sys.stdout.flush()
    except (BrokenPipeError, _ReaderLeft):
        for stream in (sys.stdout, sys.stderr):  # Python flushes them at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        code = 141
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line, and return the exit code."""
    try:
        code: Any = cli.main(args=arguments, prog_name="trainlog", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _print_error("stopped")
        return 130
    except _Terminated as error:
        _print_error("stopped")
        return int(error.code or 0)
    except click.UsageError as error:
        _print_error(f"{error.format_message()} (see {error.ctx.command_path if error.ctx else 'trainlog'} --help)")
        return 2
    except click.ClickException as error:
        _print_error(error.format_message())
        return 2
    except UnicodeEncodeError as error:
        name = printable(str(error.object))
        _print_error(f"{name} cannot be a file name in the encoding {error.encoding}; set LC_ALL=C.UTF-8")
        return 2
    except OSError as error:
        name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        _print_error(f"{name}{error.strerror}" if error.strerror else str(error))
        return 2
    return code if isinstance(code, int) else 0


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command with an exception, so that it leaves no temporary files."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise _Terminated(128 + number)

    # What the caller has set stays, such as the ignored SIGHUP of nohup; only the main thread can set handlers.
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if is_main and signal.getsignal(one) == signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, end)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _open_closed_streams() -> None:
    """Reopen streams that the shell has closed (``>&-``): they are None, and the next opened file gets their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - kept open


def _escape_missing_letters() -> None:
    """Print characters that the encoding of the output lacks as JSON escapes, which keeps JSON output valid."""
    output = sys.stdout
    if isinstance(output, io.TextIOWrapper) and not output.encoding.lower().startswith("utf"):
        codecs.register_error("trainlog.escape", _escaped)
        output.reconfigure(errors="trainlog.escape")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _print_error(message: str) -> None:
    for line in without_passwords(f"trainlog: {message}").split("\n"):
        echo(line, err=True)


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, TrainlogWarning):
        _print_error(f"note: {message}")
    else:
        for line in warnings.formatwarning(message, category, *where[:2]).rstrip("\n").split("\n"):
            echo(line, err=True)
