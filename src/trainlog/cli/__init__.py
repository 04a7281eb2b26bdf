"""The command line. One file for each verb, imported only when that verb is called; only here anything is printed."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, Final

import click

from trainlog import __version__
from trainlog.errors import TrainlogError, TrainlogWarning

__all__ = ["cli", "main"]

# In the order in which a newcomer meets them.
_VERBS: Final = {
    "demo": "train a MuJoCo agent, and record it",
    "info": "what is in a log",
    "dump": "the frames of a log as JSON lines",
    "tail": "the last frames of a log, and new ones as they come",
    "convert": "a log in another format",
    "plot": "the curves of a log as pictures",
    "report": "figures, tables and gates for CI",
    "serve": "the dashboard: logs in the browser, while they are written",
    "watch": "the newest numbers of a log, and small curves, in the terminal",
    "verify": "whether a log is whole",
    "repair": "what can be kept of a damaged log",
    "codecs": "the formats that can be read and written",
}


class _Verbs(click.Group):
    """Imports a verb's file when it is called, not to list its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"trainlog.cli.{name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TrainlogError as error:
            # Before click sees it: a TruncatedLog is an EOFError too, which it would take for the end of typed input.
            raise click.ClickException(str(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trainlog")
def cli() -> None:
    """The flight recorder of reinforcement learning and robotics."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: exit code 0 when all went well, 2 for wrong use or input, with one line that says why."""
    warnings.showwarning = _show_warning
    try:
        code: Any = cli.main(args=arguments, prog_name="trainlog", standalone_mode=False)
    except click.exceptions.Abort:
        _say("stopped")
        sys.exit(130)
    except click.UsageError as error:
        _say(f"{error.format_message()} (see {error.ctx.command_path if error.ctx else 'trainlog'} --help)")
        sys.exit(2)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough; Python must not complain while it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _say(str(error))
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    click.echo(f"trainlog: {message}", err=True)


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, TrainlogWarning):
        _say(f"note: {message}")
    else:
        click.echo(warnings.formatwarning(message, category, *where[:2]), err=True, nl=False)
