"""What a copy of an RLSimion log in another format must keep, so that it converts back to exactly the same files.

It is stored in the header, as ``meta["simion"]``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trainlog.codecs.simion.descriptor import Descriptor, encoded, parse, render
from trainlog.codecs.simion.functions import FunctionsHead
from trainlog.episode_summary import EpisodeType
from trainlog.errors import DamagedLog, UnsupportedFrame
from trainlog.model import Header, Kind

__all__ = ["KEY", "Origin"]

KEY = "simion"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a log comes from, and how its files should be written.

    Attributes:
        version: the version of the data file; None when that file has no header.
        episodes: the number in the data file's header; None for a log whose episodes must be counted.
        name, data: names of the descriptor and of the data file.
        descriptor: the descriptor's text; None when there is none.
        functions: the function log; None when there is none.
        steps_are: the kind of frames that become steps.

    """

    version: int | None = 2
    episodes: int | None = None
    name: str | None = None
    data: str | None = None
    descriptor: str | None = None
    functions: FunctionsHead | None = None
    steps_are: Kind = Kind.CREATURE

    @property
    def is_simion(self) -> bool:
        """Whether the log was an RLSimion log, as opposed to one that becomes an RLSimion log."""
        return self.name is not None

    def as_json(self) -> dict[str, Any]:
        """The JSON form that the header carries."""
        return {
            "version": self.version,
            "episodes": self.episodes,
            "name": self.name,
            "data": self.data,
            "descriptor": self.descriptor,
            "functions": None if self.functions is None else self.functions.as_json(),
            "steps_are": str(self.steps_are),
        }

    @classmethod
    def of(cls, header: Header) -> Self:
        """The inverse of `as_json`, for a header that may hold only a part of this or nothing.

        Raises:
            UnsupportedFrame: when the header's entry is invalid.

        """
        entry = header.meta.get(KEY)
        if not isinstance(entry, Mapping):
            return cls()
        try:
            version = entry.get("version", 2)
            if version not in (None, 1, 2):
                raise ValueError(f"there is no version {version!r}")
            episodes, text, functions = entry.get("episodes"), entry.get("descriptor"), entry.get("functions")
            if episodes is not None and not -(2**63) <= int(episodes) < 2**63:
                raise ValueError(f"{episodes} episodes do not fit in 64 bits")
            return cls(
                version,
                None if episodes is None else int(episodes),
                entry.get("name"),
                entry.get("data"),
                None if text is None else str(text),
                None if functions is None else FunctionsHead.from_json(functions),
                Kind.of(entry.get("steps_are", Kind.CREATURE)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            raise UnsupportedFrame(f"the header's {KEY!r} is not what it should be: {error!r}") from error

    def descriptor_for(self, header: Header, path: Path, data: Path, functions: Path) -> bytes:
        """The content of the descriptor at *path*: the old one if it is still right, otherwise one like it."""
        old = Descriptor(scene=str(header.meta.get("scene", "")))
        if self.descriptor is None:
            names = {int(kind): str(kind).capitalize() for kind in EpisodeType}
            old = Descriptor(scene=old.scene, episode_types=names)
        else:
            content = encoded(self.descriptor)
            try:
                old = parse(content, path)
            except DamagedLog:
                pass
            else:
                names_hold = (path.name, data.name) == (self.name, self.data)
                # Compared as text, where NaN equals NaN.
                if names_hold and repr(header.variables[: len(old.variables)]) == repr(old.variables):
                    return content
        logged = self.functions is not None or old.functions is not None
        return render(
            Descriptor(data.name, functions.name if logged else None, old.scene, old.episode_types, header.variables)
        )
