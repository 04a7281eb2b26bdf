"""How a run ended, as its log says it: by what ended the script, with and without a ``with``."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog import TrainingRecorder
from trainlog.catalog.inspection import facts_of
from trainlog.media import MediaRecorder
from trainlog.model import End

PLAIN = """
import sys, threading, os, signal, time, trainlog
log = trainlog.TrainingRecorder(sys.argv[1], **SETTINGS)
log.record_stats_frame(None, {"step": 1})
BODY
"""
BLOCK = """
import sys, threading, os, signal, time, trainlog
with trainlog.TrainingRecorder(sys.argv[1], **SETTINGS) as log:
    log.record_stats_frame(None, {"step": 1})
    BODY
"""
THREAD = "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
RAISE = "raise ValueError('the loss is NaN')"
INTERRUPT = "os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"


def ended(path: Path, script: str, body: str, settings: str = "{}", *flags: str) -> tuple[str, str] | None:
    code = script.replace("BODY", body).replace("SETTINGS", settings)
    done = subprocess.run([sys.executable, *flags, "-c", code, str(path)], capture_output=True, timeout=60, text=True)
    assert "atexit" not in done.stderr
    reader = trainlog.open(path)
    assert next(reader.frames("stats")).data["step"] == 1
    return None if reader.end is None else (reader.end.state, reader.end.reason)


@pytest.mark.parametrize("settings", ["{}", "{'background': 10}", "{'on_error': 'raise', 'sync_every': None}"])
@pytest.mark.parametrize("script", [PLAIN, BLOCK], ids=["plain", "with"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", ("finished", "")),
        (RAISE, ("failed", "ValueError: the loss is NaN")),
        (INTERRUPT, ("interrupted", "KeyboardInterrupt")),
        ("sys.exit()", ("finished", "")),
        ("sys.exit(0)", ("finished", "")),
        ("sys.exit(3)", ("failed", "SystemExit: 3")),
        ("sys.exit('no GPU')", ("failed", "SystemExit: no GPU")),
        ("sys.exit(143)", ("interrupted", "SIGTERM")),
        ("os._exit(0)", None),
        ("os.kill(os.getpid(), signal.SIGKILL)", None),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", None),
    ],
    ids=["end", "error", "ctrl-c", "exit", "exit 0", "exit 3", "exit words", "exit 143", "_exit", "kill", "term"],
)
def test_ends_are_told_apart(
    tmp_path: Path, script: str, body: str, expected: tuple[str, str] | None, settings: str
) -> None:
    if expected is None and "background" in settings:
        body = f"log.flush(); {body}"
    assert ended(tmp_path / "a.flog", script, body, settings) == expected
    assert facts_of(tmp_path / "a.flog", read=True)[0].state in (
        (expected[0],) if expected else ("running",)  # it has grown just now, and its host is this one
    )
    if expected is None:
        long_ago = time.time() - 3600
        os.utime(tmp_path / "a.flog", (long_ago, long_ago))
        assert facts_of(tmp_path / "a.flog", read=False)[0].state == "killed"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("try:\n    sys.exit(3)\nexcept SystemExit:\n    log.record_stats_frame(None, {'step': 2})", "finished"),
        (THREAD, "failed"),
        (f"{THREAD}; log.record_stats_frame(None, {{'step': 2}})", "finished"),
        ("try:\n    raise ValueError\nfinally:\n    log.close()", "failed"),
        ("try:\n    raise ValueError\nexcept ValueError:\n    pass\nlog.close()", "finished"),
        ("sys.excepthook = lambda *_: None; raise ValueError", "failed"),
        ("threading.excepthook = lambda *_: None; raise KeyboardInterrupt", "interrupted"),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); os.kill(os.getpid(), 15)", "interrupted"),
        ("del log", "interrupted"),
        ("log.close('failed', 'by hand'); sys.exit(0)", "failed"),
        ("import argparse; argparse.ArgumentParser().parse_args(['--no'])", "failed"),
    ],
)
def test_what_was_caught_and_what_was_not(tmp_path: Path, body: str, expected: str) -> None:
    found = ended(tmp_path / "a.flog", PLAIN, body)
    assert (found and found[0]) == expected


@pytest.mark.parametrize("suffix", ["flog", "parquet"])
@pytest.mark.parametrize("settings", ["{}", "{'background': 10}"])
@pytest.mark.parametrize(
    "after", ["log.stats({'step': 2})", "log.record_many([(None, trainlog.Kind.STATS, {'step': 2})])"]
)
def test_an_exit_before_other_frames_ends_no_run(tmp_path: Path, after: str, settings: str, suffix: str) -> None:
    exits = "try: sys.exit(3)\nexcept SystemExit: pass\n"
    assert ended(tmp_path / f"a.{suffix}", PLAIN, f"log.flush()\n{exits}{after}", settings) == ("finished", "")
    assert ended(tmp_path / f"b.{suffix}", PLAIN, f"{after}\n{exits}", settings) == ("failed", "SystemExit: 3")


def test_an_exit_while_another_thread_opens_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINLOG_MODE", "off")
    pause = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    opening = threading.Thread(target=lambda: logs.extend(TrainingRecorder(f"{n}.flog") for n in range(1000)))
    logs: list[TrainingRecorder] = []
    try:
        opening.start()
        while opening.is_alive():
            with pytest.raises(SystemExit):
                sys.exit(0)
    finally:
        sys.setswitchinterval(pause)
        opening.join()
        for log in logs:
            log.close()


def test_a_log_that_cannot_be_closed_keeps_no_other_one_open(tmp_path: Path) -> None:
    script = """
import sys, warnings, trainlog
logs = [trainlog.TrainingRecorder(f"{sys.argv[1]}/{n}.flog", background=BACKGROUND) for n in range(4)]
for log in logs:
    log.stats({"step": 1})

def refuse():
    raise trainlog.errors.LogWriteError("no space is left")

logs[1]._writer.close = refuse
warnings.simplefilter("error")
"""
    for background in ("None", "10"):
        folder = tmp_path / background
        code = script.replace("BACKGROUND", background)
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60)
        assert "no space is left" in done.stderr
        logs = [trainlog.open(folder / f"{n}.flog") for n in (0, 2, 3)]
        assert [(log.end and log.end.state, len(list(log.frames("stats")))) for log in logs] == [("finished", 1)] * 3


@pytest.mark.parametrize("background", ["None", "10"])
def test_a_log_that_is_begun_while_the_interpreter_ends(tmp_path: Path, background: str) -> None:
    script = f"""
import atexit, sys
def late():
    log = trainlog.TrainingRecorder(sys.argv[1], background={background})
    log.stats({{"step": 1}})
    kept.append(log)
kept = []
atexit.register(late)
import trainlog
trainlog.TrainingRecorder
"""
    path = tmp_path / "a.flog"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=60)
    assert [frame.data for frame in trainlog.open(path).frames("stats")] == [{"step": 1}], done.stderr


def test_an_exception_that_is_dealt_with_around_the_run_ends_it_not(tmp_path: Path) -> None:
    script = PLAIN.replace("log = ", "try:\n  import nothing\nexcept ImportError:\n  log = ")
    body = script.replace("log.record", "  log.record").replace("BODY", "  log.close()")
    assert ended(tmp_path / "a.flog", body, "") == ("finished", "")


def test_hooks_of_the_user_are_called(tmp_path: Path) -> None:
    script = """
import sys, threading, trainlog
threading.excepthook = lambda args: print("thread", args.exc_type.__name__)
sys.excepthook = lambda *args: print("main", args[0].__name__)
leave = sys.exit
trainlog.TrainingRecorder(sys.argv[1]).close()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
assert sys.exit.__name__ == "exit" and sys.exit.__doc__ == leave.__doc__
raise KeyError("a")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.flog")], capture_output=True, timeout=60, text=True
    )
    assert done.stdout.split() == ["thread", "ZeroDivisionError", "main", "KeyError"]
    assert done.stderr == ""


def test_an_interactive_session_does_not_say_that_it_finished(tmp_path: Path) -> None:
    code = f"import trainlog\nlog = trainlog.TrainingRecorder({str(tmp_path / 'a.flog')!r})\n1 / 0\n"
    subprocess.run([sys.executable, "-i"], input=code, capture_output=True, timeout=60, text=True, check=True)
    end = trainlog.open(tmp_path / "a.flog").end
    assert end is not None
    assert (end.state, end.reason) == ("interrupted", "the session ended while the log was open")


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("parent", ["None", "trainlog.TrainingRecorder(f'{sys.argv[1]}/parent.flog')"])
def test_processes_of_multiprocessing(tmp_path: Path, method: str, parent: str) -> None:
    (tmp_path / "script.py").write_text(
        f"""
import multiprocessing, sys, trainlog

def work(path, fails):
    global log
    log = trainlog.TrainingRecorder(path, background=10)
    log.record_stats_frame(None, {{"step": 1}})
    if fails:
        raise ValueError("a")

if __name__ == "__main__":
    first = {parent}
    context = multiprocessing.get_context("{method}")
    for name in ("good", "bad"):
        process = context.Process(target=work, args=(f"{{sys.argv[1]}}/{{name}}.flog", name == "bad"))
        process.start()
        process.join()
    if first:
        first.record_stats_frame(None, {{"step": 1}})
"""
    )
    subprocess.run([sys.executable, "script.py", tmp_path], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    expected = {"good": ("finished", ""), "bad": ("failed", "ValueError: a")}
    if parent != "None":
        expected["parent"] = ("finished", "")
    for name, ending in expected.items():
        reader = trainlog.open(tmp_path / f"{name}.flog")
        assert [frame.data for frame in reader.frames("stats")] == [{"step": 1}]
        assert reader.end is not None
        assert (reader.end.state, reader.end.reason) == ending


def test_a_forked_child_ends_nothing(tmp_path: Path) -> None:
    log = TrainingRecorder(tmp_path / "a.flog")
    log.record_stats_frame(None, {"step": 1})
    if not (pid := os.fork()):
        try:
            log.close("failed", "child")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert trainlog.open(tmp_path / "a.flog").end is None
    log.close()
    assert (end := trainlog.open(tmp_path / "a.flog").end) is not None
    assert end.state == "finished"


def test_the_end_has_its_time(tmp_path: Path) -> None:
    before = time.time()
    with TrainingRecorder(tmp_path / "a.flog") as log:
        time.sleep(0.05)
        log.record_stats_frame(100.0, {"step": 1})
    end = trainlog.open(tmp_path / "a.flog").end
    assert isinstance(end, End)
    assert 0.05 <= end.time < 60
    assert before <= end.wall <= time.time()
    assert trainlog.open(tmp_path / "a.flog").summary().duration == 100.0


def test_a_task_that_is_cancelled_was_interrupted(tmp_path: Path) -> None:
    async def train() -> None:
        with TrainingRecorder(tmp_path / "a.flog"):
            await asyncio.sleep(60)

    async def run() -> None:
        task = asyncio.create_task(train())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert (end := trainlog.open(tmp_path / "a.flog").end) is not None
    assert (end.state, end.reason) == ("interrupted", "CancelledError")


def test_an_error_that_cannot_be_told_is_named(tmp_path: Path) -> None:
    class BadError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(BadError), TrainingRecorder(tmp_path / "a.flog"):
        raise BadError
    assert (end := trainlog.open(tmp_path / "a.flog").end) is not None
    assert (end.state, end.reason) == ("failed", "BadError")


def test_updates_of_several_threads_are_all_kept(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log:

        def work(name: int) -> None:
            for n in range(50):
                log.update_metadata({f"{name}/{n}": n})
                log.update_summary({f"{name}/{n}": n})

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        meta = trainlog.open(tmp_path / "a.flog").header.meta
        assert (len(meta), len(meta["summary"])) == (203, 200)


@pytest.mark.parametrize("options", [{}, {"background": 10}, {"on_error": "raise"}])
def test_an_update_while_the_log_is_closed_keeps_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    def slow(_: int) -> None:  # the disk takes a while, and another thread has a result meanwhile
        monkeypatch.undo()
        thread = threading.Thread(target=log.update_summary, args=({"best": 2},))
        thread.start()
        thread.join()

    log = TrainingRecorder(tmp_path / "a.flog", **options)
    log.update_summary({"best": 1})
    monkeypatch.setattr("trainlog.storage.append._fdatasync", slow)
    log.close("failed", "diverged")
    reader = trainlog.open(log.path)
    assert reader.end is not None
    assert (reader.end.state, reader.end.reason) == ("failed", "diverged")
    assert reader.header.meta["summary"] == {"best": 2}


def test_a_handler_may_update_what_it_interrupts(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log:
        count = 0

        def handler(*_: object) -> None:
            nonlocal count
            count += 1
            values = {f"late{count}": count}  # another signal, while this one is handled, counts as well
            log.update_metadata(values)
            log.update_summary(values)

        old = signal.signal(signal.SIGALRM, handler)
        try:
            for n in range(300):
                signal.setitimer(signal.ITIMER_REAL, 1e-4)  # one signal each time: a slow machine would nest others
                log.update_metadata({"n": n})
                log.update_summary({"n": n})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        meta = trainlog.open(tmp_path / "a.flog").header.meta
        assert meta["n"] == 299
        late = {f"late{n}" for n in range(1, count + 1)}
        assert (late - meta.keys(), late - meta["summary"].keys(), meta["summary"]["n"]) == (set(), set(), 299)


def test_metadata_that_cannot_be_stored_change_nothing(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog", metadata={"lr": 1}) as log:
        with pytest.raises(trainlog.errors.UnsupportedFrame, match="cannot be stored as JSON"):
            log.update_metadata({"lr": object()})
        with pytest.raises(TypeError, match="keys of the metadata are text, not 1"):
            log.update_metadata({1: 2})  # type: ignore[dict-item]
        log.update_metadata({"path": Path("a"), "many": {2, 1}})
        log.update_summary({"best": 1})
        log.update_summary({"worst": 0})
    meta = trainlog.open(tmp_path / "a.flog").header.meta
    assert {key: meta[key] for key in ("lr", "path", "many", "summary")} == {
        "lr": 1,
        "path": "a",
        "many": [1, 2],
        "summary": {"best": 1, "worst": 0},
    }


@pytest.mark.parametrize("wrong", [1 << 120, "\ud800"], ids=["an int of 121 bits", "a lone surrogate"])
def test_metadata_that_no_frame_holds_are_refused_at_once(tmp_path: Path, wrong: object) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:
        for update in (log.update_metadata, log.update_summary):
            with pytest.raises(trainlog.errors.UnsupportedFrame, match="entropy"):
                update({"entropy": wrong})
        log.update_metadata({"lr": 1})
    reader = trainlog.open(path)
    assert reader.end is not None
    assert reader.header.meta["lr"] == 1
    assert "entropy" not in reader.header.meta


def test_a_header_that_no_frame_holds_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    for entropy, kept in ((1 << 120, 1 << 120), (1 << 120, 1 << 120), (1 << 121, str(1 << 121))):
        with TrainingRecorder(path, metadata={"entropy": entropy}, resume=True) as log:
            log.update_metadata({"lr": 1})
        reader = trainlog.open(path)
        assert reader.end is not None
        assert (reader.header.meta["entropy"], reader.header.meta["lr"]) == (kept, 1)


def test_formats_without_a_place_keep_late_metadata_as_an_event(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.tfevents") as log:
        log.record_stats_frame(None, {"step": 1, "loss": 0.5})
        log.update_metadata({"lr": 0.1})
    reader = trainlog.open(tmp_path / "a.tfevents")
    assert reader.end is None
    assert len(list(reader.frames("stats"))) == 1


def test_what_was_updated_before_a_kill_is_there(tmp_path: Path) -> None:
    body = "log.update_metadata({'late': 1}); log.update_summary({'best': 2}); os.kill(os.getpid(), 9)"
    assert ended(tmp_path / "a.flog", PLAIN, body) is None
    meta = trainlog.open(tmp_path / "a.flog").header.meta
    assert (meta["late"], meta["summary"]) == (1, {"best": 2})


def test_nothing_is_recorded_when_it_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINLOG_MODE", "off")
    with TrainingRecorder(tmp_path / "new" / "a.flog", background=3) as log:
        log.record_stats_frame(None, {"step": 1})
        log.record_many([(None, trainlog.Kind.STATS, {"step": 2})])
        log.update_metadata({"late": 1})
        log.rewind(0)
        log.sync()
        with log.keep_last(frames=3) as dense:
            dense.record(None, {"x": 1})
            dense.write("fall")
        MediaRecorder(log).image(None, "a", [[0.5]], axes="HW")
    assert not log.is_recording
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("TRAINLOG_MODE", "offline")
    with pytest.raises(ValueError, match="TRAINLOG_MODE is 'on' or 'off', not 'offline'"):
        TrainingRecorder(tmp_path / "a.flog")


def test_relative_logs_are_below_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINLOG_DIR", str(tmp_path / "scratch"))
    with TrainingRecorder("runs/a.flog") as log, TrainingRecorder(tmp_path / "b.flog") as other:
        log.record_stats_frame(None, {"step": 1})
    assert log.path == tmp_path / "scratch" / "runs" / "a.flog"
    assert other.path == tmp_path / "b.flog"
    assert trainlog.open(log.path).table("stats").rows == 1


def test_a_recorder_that_is_opened_again_closes_its_forerunner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = TrainingRecorder("a.flog")
    first.record_stats_frame(None, {"step": 1})
    second = TrainingRecorder(tmp_path / "x" / ".." / "a.flog", overwrite=True)
    with pytest.raises(trainlog.errors.ClosedLog):
        first.record_stats_frame(None, {"step": 2})
    second.record_stats_frame(None, {"step": 3})
    second.close()
    assert [frame.data["step"] for frame in trainlog.open("a.flog")] == [3]
