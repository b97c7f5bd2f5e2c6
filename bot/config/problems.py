"""Error messages for a configuration's maintainer: the line, the setting, and what to write instead.

No value from the file is shown, since it may be a secret that does not belong there.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bot.config.syntax import statements
from runbooks.kit.addresses import ADDRESS
from runbooks.wording import counted

Place = tuple[str | int, ...]
"""A setting's path: `("environments", "production", "services", 0, "name")`."""

_INSTEAD = {
    "missing": "this setting is required",
    "too_short": "at least one is required",
    "string_type": "write text in quotation marks",
    "string_sub_type": "write text in quotation marks",
    "bool_type": "write true or false, without quotation marks",
    "bool_parsing": "write true or false, without quotation marks",
    "int_type": "write a whole number, without quotation marks",
    "int_parsing": "write a whole number, without quotation marks",
    "int_from_float": "write a whole number",
    "float_type": "write a number, without quotation marks",
    "float_parsing": "write a number, without quotation marks",
    "finite_number": "write a number: inf and nan are not durations",
    "tuple_type": 'write a list: ["one", "another"]',
    "list_type": 'write a list: ["one", "another"]',
    "path_type": "write a path in quotation marks",
}
"""Advice by pydantic's kind of error."""


def told(errors: Sequence[ErrorDetails], model: type[BaseModel], text: str) -> list[str]:
    """Return a sentence for each error: `line 12: bot.web_port: write a whole number`. `text` is the file's, "" where there is none."""
    lines = _lines(text)
    sentences = []
    wrong = [_at(each["loc"]) for each in errors]
    for each in errors:
        if each["type"] == "too_short" and any(
            len(one) > len(each["loc"]) and one[: len(each["loc"])] == each["loc"] for one in wrong
        ):
            continue  # it has one, which is wrong
        place, message = _at(each["loc"]), each["msg"].removeprefix("Value error, ")
        if not place and (found := re.match(r"([\w.-]+): ", message)):
            place = tuple(found[1].split("."))  # errors of the whole configuration name their place themselves
        else:
            message = f"{'.'.join(map(str, place)) or 'the file'}: {_instead(each, model, message)}"
        line = _line_of(place, lines)
        sentences.append(f"line {line}: {message}" if line else message)
    return sentences


def _at(place: Place) -> Place:
    """Return the path without pydantic's additions for a wrong key."""
    return place[:-1] if place and place[-1] == "[key]" else place


def _instead(error: ErrorDetails, model: type[BaseModel], message: str) -> str:
    kind, place = error["type"], error["loc"]
    if kind == "extra_forbidden":
        known = _known(model, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        if near:
            return f"there is no such setting; did you mean `{near[0]}`?"
        return (
            f"there is no such setting; the settings here are {', '.join(f'`{name}`' for name in known)}"
            if known
            else "there is no such setting"
        )
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"write a table: {_header(place)}"
    if kind in ("tuple_type", "list_type") and _known(model, (*place, 0)):
        return f"write each of them as a table: {_header(place, inside=True)}"
    return _INSTEAD.get(kind) or _bound(error) or message


def _header(place: Place, *, inside: bool = False) -> str:
    """Return the header of the table at that place; the list's for one of a list, and for what is inside one."""
    name = ".".join(part for part in place if isinstance(part, str))
    return f"[[{name}]]" if inside or isinstance(place[-1], int) else f"[{name}]"


_PATTERNS = {
    r"^[a-z][a-z0-9-]{0,62}$": "write lower case letters, digits and hyphens, a letter first",
    ADDRESS: "write HOST or HOST:PORT, without a scheme (`http://`), a user or a path",
}
"""Advice by pattern."""


def _bound(error: ErrorDetails) -> str:
    """Return what a value must be that is beyond its bound, of the wrong form or none of a list; "" for other errors."""
    context = error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch":
            return _PATTERNS.get(context["pattern"], f"it must have the form `{context['pattern']}`")
        case "literal_error" | "enum":
            return f"write {context['expected']}"
        case "greater_than_equal":
            return f"write {context['ge']:.15g} or more"
        case "greater_than":
            return f"write more than {context['gt']:.15g}"
        case "less_than_equal":
            return f"write {context['le']:.15g} or less"
        case "string_too_short":
            return (
                "it is empty"
                if context["min_length"] == 1
                else f"write at least {counted(context['min_length'], 'character')}"
            )
        case "string_too_long":
            return f"write at most {counted(context['max_length'], 'character')}"
    return ""


def _known(model: type[BaseModel], place: Place) -> list[str]:
    """Return the settings of the table at that place, or none if it is unknown."""
    found: Any = model
    for part in place:
        found = _bare(found)
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(str(part))
            found = field.annotation if field is not None else None
        else:  # a name from the file, or an index in a list
            inside = [each for each in get_args(found) if each is not Ellipsis]
            found = inside[-1] if inside else None
    found = _bare(found)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return [name for name, field in found.model_fields.items() if not field.exclude]
    return []


def _bare(annotation: Any) -> Any:
    """Return the type without `| None` and what `Annotated` adds."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next((_bare(each) for each in get_args(annotation) if each is not type(None)), None)
    return annotation


_HEADER = re.compile(r"\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def _lines(text: str) -> dict[Place, int]:
    """Return the first line of each table and key, which tomllib does not report. What is inside another value has the line on which that begins."""
    found: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for number, line in statements(text):
        if header := _HEADER.match(line):
            table = _numbered(tuple(_parts(header[2])), counts, again=header[1] == "[[")
            for end in range(1, len(table) + 1):
                found.setdefault(table[:end], number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key[1])), number)
    return found


def _numbered(name: Place, counts: dict[Place, int], *, again: bool) -> Place:
    """Return the place with the latest index of each list of tables in it."""
    place: Place = ()
    for position, part in enumerate(name):
        place = (*place, part)
        if again and position == len(name) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _parts(name: str) -> Iterator[str]:
    for quoted, bare in re.findall(r"""("[^"]*"|'[^']*')|([\w-]+)""", name):
        yield quoted[1:-1] if quoted else bare


def _line_of(place: Place, lines: Mapping[Place, int]) -> int | None:
    """Return the line of the setting, or of the table that contains it."""
    for end in range(len(place), 0, -1):
        if (found := lines.get(place[:end])) is not None:
            return found
    return None
