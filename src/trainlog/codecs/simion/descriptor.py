"""The XML descriptor of an RLSimion log: its columns, and the names of the other files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from trainlog.errors import CorruptLog
from trainlog.model import Role, Variable

__all__ = ["Descriptor", "can_hold", "decoded", "encoded", "is_descriptor", "key_of", "parse", "render"]

MAX_SIZE: Final = 1 << 20  # the original has a buffer of 10,000 bytes
_ROOT: Final = "ExperimentLogDescriptor"
_EPISODE_TYPE: Final = "Episode-Type"
_ROLES: Final[dict[str, Role]] = {
    "State-variable": "state",
    "Action-variable": "action",
    "Reward-variable": "reward",
    "Stat-variable": "stat",
}
_TAG_OF: Final = {role: tag for tag, role in _ROLES.items()}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The contents of a log's descriptor.

    Attributes:
        data: the data file's name, or None.
        functions: the function log's name, or None when no functions are logged.
        scene: the scene file's name, or None.
        episode_types: names of the logged types of episodes, by number.
        variables: the columns, in the order of the doubles of a step.
        problems: what was wrong with the file and had to be guessed; one sentence each.

    """

    data: str | None = None
    functions: str | None = None
    scene: str | None = None
    episode_types: dict[int, str] = field(default_factory=dict)
    variables: tuple[Variable, ...] = ()
    problems: tuple[str, ...] = ()


def key_of(role: str, name: str, seen: Counter[str]) -> str:
    """The key of a column, unique in its log: role and name, with a number for any repetition (``stat/a#2``)."""
    key = base = f"{role}/{name}"
    while seen[key]:
        seen[base] += 1
        key = f"{base}#{seen[base]}"
    seen[key] += 1
    return key


def decoded(content: bytes) -> str:
    """*content* as text that `encoded` turns back into exactly the same bytes."""
    return content.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """The bytes that `decoded` was given."""
    return text.encode("utf-8", "surrogateescape")


def _readable(content: bytes) -> str:
    """*content* decoded as UTF-8, as UTF-16 if it has a byte order mark, or else by a Windows code page."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def is_descriptor(head: bytes) -> bool:
    """Whether a file that begins with *head* is a descriptor."""
    return f"<{_ROOT}" in _readable(head)


def parse(content: bytes, path: Path) -> Descriptor:
    """Read a descriptor, even malformed XML: the original program escapes nothing.

    Raises:
        CorruptLog: when it is larger than 1 MiB, when it declares a document type or entities (which can make a
            parser read other files or run out of memory), or when it describes something else.

    """
    if len(content) > MAX_SIZE:
        raise CorruptLog(f"this descriptor has {len(content):,} bytes; {MAX_SIZE:,} are the most", path=path)
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", _readable(content))
    if found := re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise CorruptLog(
            f"this descriptor declares a {found[1].upper()}, which no RLSimion log has; it was not read",
            path=path,
            offset=len(text[: found.start()].encode("utf-8", "replace")),
        )
    if not text.strip():
        return Descriptor(problems=("the descriptor is empty",))
    root, problem = _tree(text)
    if root is None:
        return Descriptor(problems=("the descriptor holds no XML",))
    if root.tag != _ROOT:
        raise CorruptLog(f"this is not the descriptor of an RLSimion log: its root is {root.tag!r}", path=path)
    return _descriptor(root, [problem] if problem else [])


def _tree(text: str) -> tuple[Any, str]:
    """The root element, and what was wrong with the XML."""
    from lxml import etree

    def parsed(text: str, *, recover: bool = False) -> Any:
        # Explicit although some are defaults: each guards against leaving this file or exhausting memory.
        parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            attribute_defaults=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
            recover=recover,
            encoding="utf-8",
        )
        return etree.fromstring(text.encode("utf-8", "replace"), parser)

    try:
        return parsed(text), ""
    except etree.XMLSyntaxError as error:
        problem = f"the descriptor is malformed XML ({error.msg}); its names were read as they are"
    try:
        return parsed(_repaired(text)), problem
    except etree.XMLSyntaxError:
        try:
            return parsed(_repaired(text), recover=True), f"{problem}, as far as they go"
        except etree.XMLSyntaxError:
            return None, problem


_NAME: Final = "|".join([_ROOT, _EPISODE_TYPE, *_ROLES])
# The lengths are bounded so that no file can make the search quadratic.
_ATTRIBUTE: Final = re.compile(
    r"\b(BinaryDataFile|FunctionsDataFile|SceneFile|Id|Min|Max|Circular|Units)=\"([^\n]{0,255}?)\""
    r"(?=\s{1,8}(?:FunctionsDataFile|SceneFile|BinaryDataFile|Id|Min|Max|Circular|Units)=|\s{0,8}/?>)"
)
_REPAIRABLE: Final = 1 << 16
_AMPERSAND: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)")
_ANGLE: Final = re.compile(rf"<(?!/?(?:{_NAME})\b)")
_TORN_TAG: Final = re.compile(r"</?[A-Za-z-]{0,32}\Z")
_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _repaired(text: str) -> str:
    """The root of *text*, with the characters escaped that the original left unescaped in names."""
    text = text[max(text.find(f"<{_ROOT}"), 0) :]  # a comment may precede it
    text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", _TORN_TAG.sub("", text))
    text = _ANGLE.sub("&lt;", _AMPERSAND.sub("&amp;", text)).replace("]]>", "]]&gt;")
    return _ATTRIBUTE.sub(_quoted, text) if len(text) <= _REPAIRABLE else text


def _quoted(attribute: re.Match[str]) -> str:
    value = attribute[2].replace('"', "&quot;").replace(">", "&gt;").replace("<", "&lt;")
    return f'{attribute[1]}="{value}"'


def _descriptor(root: Any, problems: list[str]) -> Descriptor:
    types: dict[int, str] = {}
    variables: list[Variable] = []
    seen: Counter[str] = Counter()
    unknown: list[str] = []
    for element in root:
        if element.tag == _EPISODE_TYPE:
            number = element.get("Id", "")
            if re.fullmatch(r"-?\d{1,9}", number):
                types[int(number)] = _text(element)
        elif element.tag in _ROLES:
            role = _ROLES[element.tag]
            name = _text(element)
            variables.append(
                Variable(
                    name,
                    role,
                    unit=element.get("Units", ""),
                    low=_number(element.get("Min")),
                    high=_number(element.get("Max")),
                    circular=element.get("Circular") == "true",
                    key=key_of(role, name, seen),
                )
            )
        else:
            unknown.append(str(element.tag))
    if unknown:
        more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        problems.append(f"the descriptor has an element {unknown[0][:80]!r}{more}, which this reader does not know")
    return Descriptor(
        root.get("BinaryDataFile"),
        root.get("FunctionsDataFile"),
        root.get("SceneFile"),
        types,
        tuple(variables),
        tuple(problems),
    )


def _text(element: Any) -> str:
    return "".join(element.itertext())


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def render(descriptor: Descriptor) -> bytes:
    """The file content for *descriptor*: as the original writes it, but escaped.

    There is no XML declaration: the original reader takes the first node of the file as the root. A character that XML
    cannot hold becomes U+FFFD.
    """
    attributes = {"BinaryDataFile": descriptor.data, "FunctionsDataFile": descriptor.functions}
    lines = [_opening(_ROOT, {**attributes, "SceneFile": descriptor.scene or ""})]
    lines += [
        f"  {_opening(_EPISODE_TYPE, {'Id': str(number)})}{_escaped(name)}</{_EPISODE_TYPE}>"
        for number, name in descriptor.episode_types.items()
    ]
    lines += [f"  {line}" for line in map(_variable, descriptor.variables)]
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", "\n".join([*lines, f"</{_ROOT}>"])).encode()


def can_hold(text: str) -> bool:
    """Whether XML can hold all characters of *text*."""
    return _NOT_XML.search(text) is None


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})  # a parser turns a bare one into a newline


def _variable(variable: Variable) -> str:
    tag = _TAG_OF[variable.role]
    attributes: dict[str, str | None] = {}
    if variable.low is not None and variable.high is not None:
        attributes = {"Min": _two_digits(variable.low), "Max": _two_digits(variable.high)}
    if variable.role != "stat" and (attributes or variable.unit or variable.circular):
        attributes |= {"Circular": "true" if variable.circular else "false", "Units": variable.unit}
    return f"{_opening(tag, attributes)}{_escaped(variable.name)}</{tag}>"


def _two_digits(number: float) -> str:
    text = f"{number:.2f}"
    return text if float(text) == number else repr(number)


def _opening(tag: str, attributes: dict[str, str | None]) -> str:
    given: Iterable[str] = (f" {key}={quoteattr(value)}" for key, value in attributes.items() if value is not None)
    return f"<{tag}{''.join(given)}>"
