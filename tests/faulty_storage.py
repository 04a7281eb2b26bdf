"""An object storage for tests: it counts what it is asked, and does on purpose what networks and other writers do."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import fsspec
from fsspec.spec import AbstractFileSystem

Hook = Callable[[str, str], bytes | None]


class FaultyStorage(AbstractFileSystem):  # type: ignore[misc]
    """Objects by their paths. A ``hook`` is called with each request before it is answered, and may raise, change the
    objects, or bring the answer itself.
    """

    protocol = "faulty"
    root_marker = ""
    objects: ClassVar[dict[str, tuple[bytes, int]]] = {}
    requests: ClassVar[Counter[str]] = Counter()
    read: ClassVar[list[tuple[str, int, int]]] = []
    hook: ClassVar[Hook | None] = None
    has_versions: ClassVar[bool] = True
    _versions: ClassVar[Any] = itertools.count()

    @classmethod
    def reset(cls) -> None:
        cls.objects.clear()
        cls.requests.clear()
        cls.read.clear()
        cls.hook, cls.has_versions = None, True

    @classmethod
    def put(cls, path: str, content: bytes) -> None:
        cls.objects[path] = content, next(cls._versions)

    def _asked(self, what: str, path: str) -> bytes | None:
        self.requests[what] += 1
        return None if type(self).hook is None else type(self).hook(what, path)

    def _about(self, path: str) -> dict[str, Any]:
        content, version = self.objects[path]
        said = {"name": path, "size": len(content), "type": "file"}
        return said | ({"ETag": f'"{version}"', "LastModified": 1e9 + version} if self.has_versions else {})

    def cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        if (answer := self._asked("get", path)) is not None:
            return answer
        path = self._strip_protocol(path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        found = self.objects[path][0][start:end]
        self.read.append((path, start or 0, (start or 0) + len(found)))
        return found

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        self._asked("info", path)
        path = self._strip_protocol(path)
        if path in self.objects:
            return self._about(path)
        if any(one.startswith(f"{path}/") for one in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        self._asked("list", path)
        path = self._strip_protocol(path)
        if path in self.objects:
            return [self._about(path)]
        inside: dict[str, dict[str, Any]] = {}
        for one in self.objects:
            if one.startswith(f"{path}/"):
                name, _, below = one[len(path) + 1 :].partition("/")
                full = f"{path}/{name}"
                inside[full] = {"name": full, "size": 0, "type": "directory"} if below else self._about(one)
        if not inside:
            raise FileNotFoundError(path)
        return list(inside.values()) if detail else sorted(inside)

    def find(self, path: str, *_: Any, detail: bool = False, **__: Any) -> Any:
        self._asked("list", path)
        path = self._strip_protocol(path)
        found = {one: self._about(one) for one in sorted(self.objects) if f"{one}/".startswith(f"{path}/")}
        return found if detail else list(found)


fsspec.register_implementation("faulty", FaultyStorage, clobber=True)
