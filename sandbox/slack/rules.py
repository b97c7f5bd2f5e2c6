"""The small grammar in which `blocks.py` writes down what Slack accepts: texts with lengths, lists with counts, objects.

A rule looks at one value and yields what is wrong with it, as (words, JSON pointer), in the words of Slack's answers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Problem = tuple[str, str]


class Rule(Protocol):
    """What one value has to be."""

    def problems(self, value: Any, pointer: str) -> Iterator[Problem]:
        """What is wrong, nothing if all is well."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `least` to `most` characters; `url`: that a browser could open."""

    most: int = 3000
    least: int = 0
    url: bool = False

    def problems(self, value: Any, pointer: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield "must be a string", pointer
        elif len(value) > self.most:
            yield f"must be less than {self.most + 1} characters", pointer
        elif len(value) < self.least:
            yield f"must be more than {self.least - 1} characters", pointer
        elif self.url and not value.startswith(("http://", "https://", "mailto:", "slack://")):
            yield "must be a valid URL", pointer


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def problems(self, value: Any, pointer: str) -> Iterator[Problem]:
        if not isinstance(value, bool):
            yield "must be a boolean", pointer


@dataclass(frozen=True, slots=True)
class Number:
    """A number, in bounds where there are some."""

    least: float | None = None
    most: float | None = None
    whole: bool = False

    def problems(self, value: Any, pointer: str) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield "must be a number", pointer
        elif self.whole and not float(value).is_integer():
            yield "must be an integer", pointer
        elif self.least is not None and value < self.least:
            yield f"must be at least {self.least:g}", pointer
        elif self.most is not None and value > self.most:
            yield f"must be at most {self.most:g}", pointer


@dataclass(frozen=True)
class Word:
    """One of a few words (or numbers)."""

    allowed: tuple[Any, ...]

    def problems(self, value: Any, pointer: str) -> Iterator[Problem]:
        if isinstance(value, bool) or value not in self.allowed:
            yield f"must be a valid enum value: {', '.join(map(str, self.allowed))}", pointer


@dataclass(frozen=True, slots=True)
class Many:
    """A list; `unique` names a field of its objects that must not come twice."""

    of: Rule
    most: int | None = None
    least: int = 0
    unique: str = ""

    def problems(self, value: Any, pointer: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield "must be an array", pointer
            return
        if self.most is not None and len(value) > self.most:
            yield f"no more than {self.most} items allowed", pointer
        if len(value) < self.least:
            yield f"no fewer than {self.least} items required", pointer
        for index, item in enumerate(value):
            yield from self.of.problems(item, f"{pointer}/{index}")
        if self.unique:
            names = [item[self.unique] for item in value if isinstance(item, dict) and self.unique in item]
            for name in sorted({str(name) for name in names if names.count(name) > 1}):
                yield f"`{self.unique}` {name} already exists", pointer


Check = Callable[[Mapping[str, Any], str], Iterator[Problem]]


@dataclass(frozen=True)
class Shape:
    """An object: its fields (a name with `!` is required), groups of which one field must be there, and what else
    holds (`check`). A `type` is allowed only where `Kind` looked it up.
    """

    fields: Mapping[str, Rule]
    any_of: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    check: Check | None = None
    _rules: dict[str, Rule] = field(init=False, repr=False, default_factory=dict)
    _required: list[str] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        for name, rule in self.fields.items():
            self._rules[name.rstrip("!")] = rule
            if name.endswith("!"):
                self._required.append(name.rstrip("!"))

    def problems(self, value: Any, pointer: str, *, typed: bool = False) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield "must be an object", pointer
            return
        for name in self._required:
            if name not in value:
                yield f"missing required field: {name}", pointer
        if self.any_of and not any(value.get(name) for name in self.any_of):
            yield f"must have at least one of: {', '.join(self.any_of)}", pointer
        if self.one_of and sum(name in value for name in self.one_of) != 1:
            yield f"must have exactly one of: {', '.join(self.one_of)}", pointer
        for name, item in value.items():
            rule = self._rules.get(name)
            if rule is not None:
                yield from rule.problems(item, f"{pointer}/{name}")
            elif not (typed and name == "type"):
                yield f"invalid additional property: {name}", pointer
        if self.check is not None:
            yield from self.check(value, pointer)


@dataclass(frozen=True)
class Kind:
    """An object that says in `type` what it is; only some kinds may stand here.

    The table is looked at when a value is checked, so that kinds may contain each other. `at_most` shortens the text of
    a text object for this place.
    """

    table: Mapping[str, Shape]
    only: tuple[str, ...] = ()
    at_most: int = 0

    def problems(self, value: Any, pointer: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield "must be an object", pointer
            return
        kind = value.get("type")
        if kind is None:
            yield "missing required field: type", pointer
            return
        if not isinstance(kind, str) or kind not in self.table or (self.only and kind not in self.only):
            yield f"unsupported type: {kind}", f"{pointer}/type"
            return
        yield from self.table[kind].problems(value, pointer, typed=True)
        text = value.get("text")
        if self.at_most and isinstance(text, str) and len(text) > self.at_most:
            yield f"must be less than {self.at_most + 1} characters", f"{pointer}/text"
