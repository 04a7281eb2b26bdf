from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from trainlog import errors
from trainlog.errors import DamagedLogWarning, TrainlogError, TruncatedLog

ERRORS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TrainlogError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_says_where(kind: type[TrainlogError]) -> None:
    error = kind("the frame is cut", path="runs/a.flog", offset=12345)
    assert str(error) == "runs/a.flog: the frame is cut (at byte 12,345)"
    assert error.path == Path("runs/a.flog")
    assert error.offset == 12345
    assert str(kind("nothing else is known")) == "nothing else is known"


@pytest.mark.parametrize("kind", [*ERRORS, DamagedLogWarning])
def test_shows_no_password(kind: type[Exception]) -> None:
    assert str(kind("s3://me:s@cr:t@host/a@b is cut")) == "s3://host/a@b is cut"
    assert str(kind("s3://host: me@host is no user")) == "s3://host: me@host is no user"
    assert str(kind("abfs://container@account/a is cut")) == "abfs://container@account/a is cut"


@pytest.mark.parametrize("kind", ERRORS)
def test_crosses_process_borders(kind: type[TrainlogError]) -> None:
    error = kind("the frame is cut", path="runs/a.flog", offset=1)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not TrainlogError])
def test_is_the_builtin_that_it_resembles(kind: type[TrainlogError]) -> None:
    builtin = {base for base in kind.__mro__ if base.__module__ == "builtins"} - {Exception, BaseException, object}
    assert builtin


def test_truncated_log_is_also_an_end_of_file() -> None:
    with pytest.raises(EOFError):
        raise TruncatedLog("cut")
    with pytest.raises(errors.DamagedLog):
        raise TruncatedLog("cut")


def test_does_not_name_the_path_twice() -> None:
    assert str(TrainlogError("a.flog: is no log", path="a.flog")) == "a.flog: is no log"
