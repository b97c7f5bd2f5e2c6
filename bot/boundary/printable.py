"""Makes text from outside harmless before a person reads it in a terminal or a log, and says where no line may end."""

import re
import unicodedata

_UNIT = r"(?:[KMGT]i?B|kB|B|[kM]|[mµ]?s|min|h|days?|pods?|%|×|[a-z]*/(?:s|min|h))(?![\w/])"  # noqa: RUF001 - a count of times
BEFORE_UNIT = re.compile(rf"(?<=\d) (?={_UNIT})|(?:(?<=[<>≤≥])|(?<=&[lg]t;)) (?=\d)")
"""The space between a number and its unit, or between a comparison, also escaped, and its number: no line ends there."""


def safe(text: str, *, lines: bool = False) -> str:
    """Data made harmless: control characters, escape sequences and signs that turn the direction of writing are shown, not obeyed.

    With `lines` line breaks stay.
    """
    if lines:
        return "\n".join(safe(line) for line in text.replace("\r\n", "\n").split("\n"))
    if text.isprintable():
        return text
    return "".join(_harmless(sign) for sign in text)


def _harmless(sign: str) -> str:
    if sign.isprintable() or sign == "\N{NO-BREAK SPACE}":
        return sign
    if sign in "\n\t":
        return " "
    code = ord(sign)
    if code < 0x20:  # noqa: PLR2004 - the C0 controls have pictures of their own
        return chr(0x2400 + code)
    if sign == "\x7f":
        return "\N{SYMBOL FOR DELETE}"
    if unicodedata.category(sign) == "Zs":
        return " "
    # joiners inside an emoji or a script are harmless; overrides, isolates and private signs are not
    return sign if sign in "\u200c\u200d" else f"<U+{code:04X}>"
