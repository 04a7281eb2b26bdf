"""Where a run comes from: when, where and with which command it was started, from which commit, with which versions.

`facts` collects this for a recorder, which puts it into the header of its log. The environment variables are not
stored, secrets on the command line are left out, and git is given at most a second. docs/provenance.md describes
each fact, and how to leave it out.
"""

from __future__ import annotations

import datetime
import itertools
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

from trainlog.redaction import redacted_arguments, redacted_source

__all__ = ["Provenance", "facts", "provenance_wanted"]

Provenance = Literal["on", "no-patch", "off"]
"""What is collected: everything, everything except the diff to the commit, or nothing."""

SWITCH: Final = "TRAINLOG_PROVENANCE"

_SECONDS: Final = 1.0  # time limit for git
_FRESH: Final = 5.0  # seconds for which a process does not ask git again
_PATCH: Final = 1 << 16  # largest diff to the commit that is kept, in bytes
_COMMAND: Final = 4096  # characters
# Changes in these files are private.
_PRIVATE: Final = (
    *(".env*", "*.env", ".netrc", ".npmrc", ".pypirc", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_*"),
    *("*secret*", "*credential*", "*password*"),
)
# Libraries whose versions are recorded if the process has imported them.
_LIBRARIES: Final = (
    *("numpy", "torch", "jax", "jaxlib", "tensorflow", "keras", "flax", "optax", "warp"),
    *("gymnasium", "gym", "pettingzoo", "mujoco", "brax", "dm_control", "pybullet", "genesis", "isaaclab", "mjlab"),
    *("stable_baselines3", "sb3_contrib", "rsl_rl", "skrl", "torchrl", "tensordict", "tianshou", "ray"),
    *("lightning", "pytorch_lightning", "transformers", "trl", "accelerate"),
)
_DISTRIBUTIONS: Final[Mapping[str, str]] = {"rsl_rl": "rsl-rl-lib", "warp": "warp-lang", "genesis": "genesis-world"}
_SEED: Final = re.compile(r"(?:^|\s)(?:--?|\+*)(?:[\w.]*[._-])?seed[= ](\d{1,18})(?=\s|$)")

_looked_up: dict[tuple[str, bool], tuple[float, dict[str, Any]]] = {}


def provenance_wanted(asked: bool | Provenance) -> Provenance:
    """What to collect: the smaller of what the caller and the variable ``TRAINLOG_PROVENANCE`` allow.

    Raises:
        ValueError: when one of them has an invalid value.

    """
    levels = get_args(Provenance)
    by_variable = os.environ.get(SWITCH, "").lower() or "on"
    for where, value in (("provenance", asked), (SWITCH, by_variable)):
        if not isinstance(value, bool) and value not in levels:
            raise ValueError(f"{where} is one of {', '.join(map(repr, levels))}, not {value!r}")
    by_caller = "on" if asked is True else "off" if asked is False else asked
    return levels[max(map(levels.index, (by_caller, by_variable)))]  # type: ignore[no-any-return]


def facts(wanted: Provenance) -> dict[str, Any]:
    """The facts about this process and its code now; only the version of trainlog when *wanted* is ``off``.

    It never raises: facts that cannot be determined are left out.
    """
    from trainlog import __version__

    found: dict[str, Any] = {"trainlog": __version__}
    if wanted == "off":
        return found
    now = time.time()
    found["began"] = datetime.datetime.fromtimestamp(now).astimezone().isoformat(timespec="milliseconds")
    found |= {"wall": now, "pid": os.getpid(), **_of_the_process(tuple(_arguments()))}
    if versions := dict(_versions()):
        found["versions"] = versions
    try:
        found["folder"] = os.getcwd()  # noqa: PTH109 - it may be deleted, or not be text
    except OSError:
        return found
    if git := _git(found["folder"], with_patch=wanted == "on"):
        found["git"] = git
    return found


@lru_cache(maxsize=1)
def _of_the_process(given: Sequence[str]) -> Mapping[str, Any]:
    """The facts that do not change while the process runs; *given* is the command line."""
    arguments = redacted_arguments(given)
    system = os.uname()
    found: dict[str, Any] = {"host": system.nodename, "command": _command(arguments)}
    if (seed := _SEED.search(" ".join(arguments[1:]))) is not None:
        found["seed"] = int(seed[1])
    return found | {"python": sys.version.partition(" ")[0], "platform": f"{system.sysname} {system.machine}"}


def _arguments() -> list[str]:
    """The command line, without code that it contains."""
    return [one.encode("utf-8", "replace").decode() for one in _without_code(sys.orig_argv)]


def _without_code(command: Sequence[str]) -> list[str]:
    """*command* without the code after the interpreter's own ``-c``, which can share a word with other options."""
    found, rest = list(command[:1]), iter(command[1:])
    for one in rest:
        found.append(one)
        if one.startswith("--"):
            found += [*itertools.islice(rest, one == "--check-hash-based-pycs")]
            continue
        options = re.match(r"-[^-WXmc]+|-(?=[WXmc])", one)
        if options is None:  # a script, or ``-`` for standard input
            break
        name, value = one[options.end() : options.end() + 1], one[options.end() + 1 :]
        if name == "c":
            found[-1:] = [f"{one[: options.end()]}c", "..."]
            if not value:
                next(rest, None)
        elif name in ("W", "X") and not value:
            found += [*itertools.islice(rest, 1)]
        if name in ("c", "m"):
            break
    return [*found, *rest]


def _command(arguments: Sequence[str]) -> str:
    command = shlex.join(arguments)
    return command if len(command) <= _COMMAND else f"{command[:_COMMAND]}..."


def _versions() -> Iterator[tuple[str, str]]:
    for name in _LIBRARIES:
        module = sys.modules.get(name)
        if module is not None and (version := getattr(module, "__version__", None) or _installed(name)):
            yield name, str(version)
    if (cuda := getattr(sys.modules.get("torch.version"), "cuda", None)) is not None:
        yield "cuda", str(cuda)


def _installed(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(_DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        return ""


def _git(folder: str, *, with_patch: bool) -> dict[str, Any]:
    """The commit of *folder*, and the diff to it; cached, so that a process with many logs does not ask for each."""
    at, found = _looked_up.get((folder, with_patch), (-_FRESH, {}))
    if time.monotonic() - at > _FRESH:
        found = _asked(folder, with_patch=with_patch) if _may_be_versioned(Path(folder)) else {}
        _looked_up.clear()
        _looked_up[folder, with_patch] = time.monotonic(), found
    return dict(found)


def _may_be_versioned(folder: Path) -> bool:
    """Whether there is a repository, so that it is worth starting git."""
    return "GIT_DIR" in os.environ or any(os.path.lexists(one / ".git") for one in (folder, *folder.parents))


def _asked(folder: str, *, with_patch: bool) -> dict[str, Any]:
    end = time.monotonic() + _SECONDS
    head, _ = _output(["rev-parse", "HEAD", "--abbrev-ref", "HEAD"], folder, end, _COMMAND)
    commit, _, branch = head.decode("utf-8", "replace").strip().partition("\n")
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        return {}
    found: dict[str, Any] = {"commit": commit, **({"branch": branch} if branch not in ("", "HEAD") else {})}
    private = [f":(exclude,top,glob,icase)**/{name}" for name in _PRIVATE]
    command = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty", "HEAD", "--"]
    difference, why = _output([*command, ":(top)", *private], folder, end, _PATCH if with_patch else 1)
    if why == "time":
        return {**found, "note": f"the diff to the commit was not found within {_SECONDS:g} s"}
    if why == "failed":
        return found
    found["dirty"] = bool(difference)
    if with_patch and difference:
        if why == "size":
            return {**found, "note": f"the diff to the commit has more than {_PATCH:,} bytes, and is left out"}
        found["patch"], redacted = redacted_source(difference.decode("utf-8", "replace"))
        if redacted:
            found["note"] = "text that looked like a secret was removed from the patch"
    return found


def _output(command: Sequence[str], folder: str, end: float, most: int) -> tuple[bytes, str]:
    """The output of git up to the monotonic time *end* and about *most* bytes, and why it is cut: time, size, failed.

    No program that a repository can configure is run, and nothing is locked or written.
    """
    import select
    import subprocess

    options = ["-c", "core.fsmonitor=false", "-c", "core.quotepath=true", "-c", "core.untrackedCache=keep"]
    # This is not covered by optional locks: a killed git would leave the index locked.
    options += ["-c", "diff.autoRefreshIndex=false"]
    try:
        process = subprocess.Popen(
            ["git", "--no-pager", *options, *command],
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return b"", "failed"
    answer, why = b"", ""
    with process:
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        poll = select.poll()  # `select.select` refuses descriptors from 1024 on
        poll.register(descriptor, select.POLLIN)
        try:
            while not why:
                if not poll.poll(1000 * max(end - time.monotonic(), 0)):
                    why = "time"
                elif not (block := os.read(descriptor, 1 << 16)):
                    break
                else:
                    answer += block
                    why = "size" if len(answer) > most else ""
        finally:
            if why:
                process.kill()
    return answer, why or ("failed" if process.returncode else "")
