"""The location of a log: a path of this machine, or a URL of an object storage."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Generator, Iterator, Mapping
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote

from trainlog.errors import CodecError, LogNotFound, LogWriteError

if TYPE_CHECKING:
    from trainlog.storage.filesystem import Info
    from trainlog.storage.remote import Listing

    # Readers carry either; both offer everything that readers ask of a path. Operations that need a local file fail for
    # a URL in `__fspath__`.
    _Path = Path
else:
    _Path = object

__all__ = [
    "LOCAL",
    "PARTS",
    "RemotePath",
    "file_of",
    "fixed_part",
    "in_parts",
    "is_collapsed",
    "is_folder",
    "is_url",
    "local_path",
    "location",
    "named",
    "written_path",
]

PARTS: Final = ".parts"
"""What follows the name of a log in the name of the folder that holds it in parts."""

LOCAL: Final = ("file", "local")
"""The schemes of URLs of local files."""

_URL: Final = re.compile(r"(?:[A-Za-z][\w+.-]*::)*([A-Za-z][\w+.-]*)://")
_WILDCARDS: Final = {"*": "[^/]*", "?": "[^/]", "**/": "(?:[^/]+/)*", "**": ".*"}
# A URL that went through `Path`, which turns the two slashes into one.
_COLLAPSED: Final = re.compile(r"(s3|s3a|gs|gcs|az|abfss?|adl|hdfs|hf|r2|https?|ftp|sftp|ssh|file|memory):/[^/]")


def is_url(path: object) -> bool:
    """Whether *path* is an address on another file system: ``s3://bucket/run.flog``."""
    return _URL.match(str(path)) is not None  # Path turns the two slashes into one; the paths of other libraries do not


def is_collapsed(path: object) -> bool:
    """Whether *path* is a URL that `Path` has left with one slash instead of two."""
    return _COLLAPSED.match(str(path)) is not None


class RemotePath(_Path):
    """A URL in place of a `pathlib.Path`, made by `location`: the methods that readers need of a path, by fsspec.

    It is a value: equal if the URL and the options are equal. Repeating a query within two seconds costs no request.

    Attributes:
        options: the options of fsspec's file system, as in a path of universal_pathlib.

    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, *, listing: Listing | None = None) -> None:
        parts = url.split("::")
        first = next((n for n, part in enumerate(parts) if "://" in part), 0)
        scheme, _, path = parts[first].partition("://")
        end = ""
        if scheme in ("http", "https"):
            path, mark, query = path.partition("?")
            end = mark + query
        self._begin = "::".join([*parts[:first], f"{scheme}://"])
        self._path = path.rstrip("/")
        self._end = "::".join([end, *parts[first + 1 :]])
        self._listing = listing
        self.options = dict(options or {})

    def _with(self, path: str) -> Self:
        other = type(self)("://", self.options, listing=self._listing)
        other._begin, other._path, other._end = self._begin, path, self._end
        return other

    # --- names ---

    @property
    def scheme(self) -> str:
        """The name of the file system."""
        return self._begin.rpartition("::")[2].removesuffix("://")

    @property
    def name(self) -> str:
        """The part after the last slash."""
        return self._path.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The last suffix of the name."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Self:
        """The folder; for a path that is in none, such as a bucket, the root of the file system."""
        return self._with(self._path.rpartition("/")[0].rstrip("/"))

    @property
    def parents(self) -> tuple[Self, ...]:
        """All folders, the nearest first, the root last."""
        names = self._path.split("/")
        return tuple(self._with("/".join(names[:n])) for n in range(len(names) - 1, -1, -1))

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket, the folders and the name."""
        first, *others = self._path.split("/")
        return (self._begin + first, *others)

    def with_name(self, name: str) -> Self:
        """Another name in the same folder."""
        folder, slash, _ = self._path.rpartition("/")
        return self._with(folder + slash + name)

    def with_suffix(self, suffix: str) -> Self:
        """The same name with another suffix."""
        return self.with_name(PurePosixPath(self.name).with_suffix(suffix).name)

    def __truediv__(self, name: str | os.PathLike[str]) -> Self:
        inner = os.fspath(name).rstrip("/")  # keys may have two slashes in a row
        return self._with(f"{self._path}/{inner}" if self._path and inner else self._path or inner.lstrip("/"))

    def relative_to(self, other: Path) -> PurePosixPath:  # type: ignore[override]
        """The path below *other*.

        Raises:
            ValueError: when it is not below it.

        """
        inner = self.below(other)
        if inner is None:
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(inner)

    def shares_storage(self, other: RemotePath) -> bool:
        """Whether both are on the same file system."""
        return (self._begin, self._end, self.options) == (other._begin, other._end, other.options)

    def is_relative_to(self, other: Path) -> bool:  # type: ignore[override]
        """Whether it is *other* or below it."""
        return self.below(other) is not None

    def below(self, folder: Path) -> str | None:
        """The path below *folder*, empty for the folder itself; None when it is not below it."""
        if not isinstance(folder, RemotePath) or (self._begin, self._end) != (folder._begin, folder._end):
            return None
        own, base = self._path, folder._path
        if not base:
            return own.lstrip("/")
        if not own.startswith(base):
            return None
        return own[len(base) + 1 :] if own[len(base) : len(base) + 1] in ("", "/") else None

    def absolute(self) -> Self:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Itself."""
        return self

    def as_posix(self) -> str:
        """The URL."""
        return str(self)

    def as_uri(self) -> str:
        """The URL."""
        return str(self)

    def __str__(self) -> str:
        return self._begin + self._path + self._end

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and (str(self), self.options) == (str(other), other.options)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: Any) -> bool:
        return str(self) < str(other)

    def __reduce__(self) -> Any:
        info = None if self.known_listing is None else self.known_listing.info(self)
        return _unpickled, (str(self), self.options, info)

    def __fspath__(self) -> str:
        raise CodecError("this needs a local file, not a URL; copy the log first", path=self)

    # --- questions ---

    def is_symlink(self) -> bool:
        """False."""
        return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is a file, either whole or in parts.

        Raises:
            LogReadError: when the storage does not say.

        """
        from trainlog.storage.remote import look, names_in

        return (bool(self.suffix) or names_in(self) is None) and look(self) is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is a folder and no file; raises the errors of `is_file`.

        A name without a suffix that has something below it is a folder.
        """
        from trainlog.storage.remote import look, names_in

        return (not self.suffix or look(self) is None) and names_in(self) is not None

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is a file or a folder; raises the errors of `is_file`."""
        return self.is_dir() or self.is_file()

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size, time and identity of the file: when ``st_ino`` changes, it is another file.

        Raises:
            LogNotFound: when there is no such file.
            LogReadError: when the storage does not say.

        """
        from trainlog.storage.remote import status

        return status(self)

    def iterdir(self) -> Generator[Self, None, None]:
        """Yield the files and folders in this one.

        Raises:
            LogNotFound: when there is no such folder.
            LogReadError: when the storage does not say.

        """
        from trainlog.storage.remote import names_in

        names = names_in(self)
        if names is None:
            raise LogNotFound("there is no such folder", path=self)
        yield from (self / name for name in names)

    def glob(self, pattern: str) -> Iterator[Self]:  # type: ignore[override]
        """Yield the paths below this folder that match *pattern* (``**``: nested folders); raises as `iterdir` does."""
        fits = re.compile(_regex(pattern)).fullmatch
        if "/" in pattern or "**" in pattern:
            whole = self if self.known_listing else self.listed()
            yield from (whole / name for name in sorted(whole.listing.names()) if fits(name))
        else:
            yield from (one for one in self.iterdir() if fits(one.name) and not one.name.startswith("."))

    def listed(self) -> Self:
        """The same folder with a listing, which answers all queries about what is below it.

        Raises:
            LogReadError: when the storage does not return the listing.

        """
        from trainlog.storage.remote import list_tree

        other = self._with(self._path)
        other._listing = list_tree(self)
        return other

    def alone(self) -> Self:
        """The same path without a listing: queries go to the storage."""
        return type(self)(str(self), self.options)

    @property
    def listing(self) -> Listing:
        """The listing."""
        assert self._listing is not None
        return self._listing

    @property
    def known_listing(self) -> Listing | None:
        """The listing, if there is one that covers this path and is not old."""
        return self._listing if self._listing is not None and self._listing.covers(self) else None


def _unpickled(url: str, options: Mapping[str, Any], info: Info | None) -> RemotePath:
    """The path that was pickled; if it had a listing, with that listing's information about this file."""
    path = RemotePath(url, options)
    if info is not None:
        from trainlog.storage.remote import Listing

        path._listing = Listing(path, {"": info})
    return path


def _regex(pattern: str) -> str:
    """The regular expression for a path pattern, as `glob` takes it; nothing but ``**`` matches a slash."""
    found = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", pattern):
        if part in _WILDCARDS:
            found += _WILDCARDS[part]
        elif part.startswith("[") and part.endswith("]"):
            found += "(?!/)" + fnmatch.translate(part).removeprefix("(?s:").rpartition(")")[0]
        else:
            found += re.escape(part)
    return found


def location(path: Any) -> Path:
    """*path* as a reader carries it: a `Path`, or a `RemotePath` for a URL.

    Args:
        path: text, a path, or a path of universal_pathlib, whose options are kept.

    Raises:
        TypeError: for anything else.

    """
    if isinstance(path, RemotePath):
        return path
    if not isinstance(path, Path):
        text = str(path) if isinstance(path, os.PathLike) or hasattr(path, "as_uri") else path
        if isinstance(text, str) and "://" in text and (scheme := _URL.match(text)):
            if scheme[1] not in LOCAL or "::" in text:
                return RemotePath(text, getattr(path, "storage_options", None))
            path = file_of(text)
        path = Path(path)
    # False, not OSError, for a name that is too long.
    if path.name.endswith(PARTS) and os.path.isfile(path / f"{0:020d}"):  # noqa: PTH113
        return RemotePath(f"file://{path.absolute()}")  # one log, as in a bucket
    found: Path = path
    return found


def named(path: Path) -> Path:
    """*path*, or the folder that ``.`` or ``..`` stands for, under its own name."""
    return path.resolve() if path.name in ("", "..") else path


def file_of(url: str) -> str:
    """The path in the URL of a local file, in which ``%20`` is a space."""
    return unquote(url.partition("://")[2].removeprefix("localhost"))


def in_parts(path: Path) -> RemotePath | None:
    """The local folder with the parts of the log *path*, which does not exist itself; None if there is none."""
    parts = location(path.with_name(path.name + PARTS))
    return parts if isinstance(parts, RemotePath) and not isinstance(path, RemotePath) else None


def local_path(path: Any) -> Path:
    """*path* as a writer takes it: a local file.

    Raises:
        CodecError: when it is a URL.

    """
    found = location(path)
    if isinstance(found, RemotePath) or is_collapsed(found):
        raise CodecError(
            f"{found} is a URL, and this is only written to a local file: give a local path, or see `trainlog sync`"
        )
    return found


def written_path(path: Any) -> Path:
    """`local_path`, made absolute, so that a program that changes its working folder continues with the same file.

    Raises:
        CodecError: when it is a URL.
        LogWriteError: when it is relative, and the working folder was deleted.

    """
    try:
        return local_path(path).absolute()
    except FileNotFoundError as error:
        raise LogWriteError("the working folder was deleted", path=path) from error


def fixed_part(pattern: Path) -> Path:
    """The folder that *pattern* begins with."""
    return next(folder for folder in pattern.parents if not has_magic(str(folder)))


def is_folder(path: Path) -> bool:
    """Whether there is a folder; `Path.is_dir` raises when a name is too long."""
    return path.is_dir() if isinstance(path, RemotePath) else os.path.isdir(path)  # noqa: PTH112
