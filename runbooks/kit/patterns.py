r"""A person's pattern over lines of bytes: google-re2, so its time is linear in the text, and no pattern can hang the bot.

What RE2 leaves out for that (look-around, back-references) is refused with the way out in words. A pattern is held against one
line at a time: `never_nl` keeps it from looking across a line's end, whatever is in it.
"""

import re
from typing import Any

from runbooks.wording import cited

LONGEST = 1000
"""Characters; more is not typed by a person."""

_OPERATORS = (
    (
        ("(?=", "(?!", "(?<=", "(?<!"),
        "look-ahead and look-behind are not supported. Search for what the line contains; to exclude a word, use a terminal: `omnicare logs … | grep -v WORD`.",
    ),
    (("(?>",), "atomic groups are not supported, and not needed: no pattern is slow here. Write `(?:…)`."),
    (("(?P=", "(?P>", "(?&", "(?R"), "references to a named group are not supported. Write the repeated part twice."),
    (("(?(",), "conditions are not supported. Write both cases: `(?:a|b)`."),
    (("(?#",), "comments are not supported."),
)
_ESCAPES = {
    "Z": r"write `\z` or `$` for the end of the line.",
    "G": "this anchor is not supported.",
    "h": r"write `[ \t]`.",
    "R": "a pattern is matched against one line at a time.",
    "K": "omit it: the whole line is shown anyway.",
    "k": "references to a named group are not supported. Write the repeated part twice.",
    "<": r"write `\b` for the border of a word.",
    ">": r"write `\b` for the border of a word.",
    "u": r"write `\x{00e9}` for a sign by its number.",
    "e": r"write `\x1b`.",
}
_ANCHORS = re.compile(r"\\[AzBbQ]|[$^]")


class PatternRefused(ValueError):
    """The pattern can't be used; the message is a sentence with the way out."""


def compiled(pattern: str, *, each_line: bool = False) -> Any:
    """For texts as bytes. With `each_line`, `^` and `$` mean the borders of any line in it. Raises `PatternRefused`."""
    import re2

    if len(pattern) > LONGEST:
        raise PatternRefused(f"The pattern is too long: the maximum is {LONGEST} characters.")
    options = re2.Options()
    options.log_errors = False
    options.never_nl = True
    try:
        return re2.compile((f"(?m){pattern}" if each_line else pattern).encode(), options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise PatternRefused(f"The pattern {cited(pattern, 60)} can't be used: {_way_out(pattern, why)}") from None
    except UnicodeEncodeError:
        raise PatternRefused("The pattern contains an incomplete character. Type it again.") from None


def literal(pattern: str) -> bytes | None:
    """The bytes that the pattern stands for where it has no operator in it."""
    return pattern.encode() if pattern and not re.search(r"[\\^$.|?*+()\[\]{}\n]", pattern) else None


def anchored(pattern: str) -> bool:
    """Whether what stands beside a match may matter to it."""
    return _ANCHORS.search(pattern) is not None


def _way_out(pattern: str, why: str) -> str:
    """RE2's own word for it is short; what it means is looked up by what stands in the pattern."""
    told = why.partition(": ")
    for signs, sentence in _OPERATORS:
        if told[0].startswith("invalid perl operator") and any(sign in pattern for sign in signs):
            return sentence
    if told[0].startswith("invalid named capture"):
        return (
            "a group's name can contain letters, digits and `_`: `(?P<name>…)`. A plain `(…)` works just as well here."
        )
    if told[0].startswith("invalid escape"):
        sign = told[2][1:2]
        if sign.isdigit():
            return "back-references are not supported. Write the repeated part twice."
        return _ESCAPES.get(
            sign, f"{cited(told[2], 8)} has no meaning. Put `\\` in front of a character that is meant literally."
        )
    if told[0].startswith("bad repetition operator"):
        return f"{cited(told[2], 12)} repeats twice. Use only one of `*`, `+`, `?`, `{{n}}` after what it repeats."
    if told[0].startswith("no argument for repetition"):
        return f"there is nothing before {cited(told[2], 12)} to repeat. Put `\\` in front of a character that is meant literally."
    if told[0].startswith(("missing )", "unexpected )")):
        return r"a round bracket has no other end. A bracket that is meant as itself is `\(` or `\)`."
    if told[0].startswith("missing ]"):
        return r"a square bracket is not closed. A bracket that is meant as itself is `\[`."
    return f"{why[:120]}."
