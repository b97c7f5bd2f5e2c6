"""What phones, word processors and Slack make of typed text, undone: entities, links, dashes, quotation marks, invisible characters."""

import html
import re
import unicodedata
from collections.abc import Iterator

_LINK = re.compile(r"<(?:mailto:|tel:)?([^<>|\s]*)(?:\|([^<>]*))?>")


def made_plain(text: str) -> str:
    """Undoes what clients do to typed text: entities, links and addresses made of words, phone keyboards' dashes and quotes.

    A mention of a person (`<@U…|maya>`) becomes `@U…`, a linked word (`<http://v2.0.0|v2.0.0>`) its label.
    """
    text = _LINK.sub(lambda found: _unlinked(found[1], found[2]), text)
    return "".join(_undone("".join(map(_visible, html.unescape(text)))))


_BLANK_LETTERS = frozenset(
    "\N{COMBINING GRAPHEME JOINER}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}\N{HANGUL FILLER}\N{HALFWIDTH HANGUL FILLER}"
)
"""Letters and marks by their category, and nothing to be seen."""


def invisible(sign: str) -> bool:
    """Return whether nobody sees it, and it is no blank either: controls, direction marks, joiners, soft hyphens, fillers."""
    if " " <= sign <= "~" or sign in "\t\n\r":
        return False
    return (
        unicodedata.category(sign) in ("Cc", "Cf")
        or sign in _BLANK_LETTERS
        or "\N{VARIATION SELECTOR-1}" <= sign <= "\N{VARIATION SELECTOR-16}"
    )


def _visible(sign: str) -> str:
    """Return the sign as it is read: nothing for an invisible one, a space for every blank; ASCII as it came."""
    if sign.isascii():
        return sign
    return "" if invisible(sign) else " " if unicodedata.category(sign) in ("Zs", "Zl", "Zp") else sign


_QUOTES = dict.fromkeys("“”„«»", '"') | dict.fromkeys("‘’‚", "'")  # noqa: RUF001
_HYPHENS = frozenset("\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{SMALL HYPHEN-MINUS}\N{FULLWIDTH HYPHEN-MINUS}\N{MINUS SIGN}")
"""Typed for `-` inside a word too; longer dashes there are a sentence's own."""


def _dash(sign: str) -> bool:
    return sign in _HYPHENS or unicodedata.category(sign) == "Pd"


def _undone(text: str) -> Iterator[str]:
    """A keyboard's quotation marks and dashes as what they stand for, but none between straight quotation marks.

    There they are a value's own signs: it would end where it does not, and what follows in it would be read as options.
    """
    opened, before, naming, at = "", " ", False, 0
    while at < len(text):
        sign = text[at]
        meant = sign if opened == '"' else _QUOTES.get(sign, sign)
        if opened:
            opened = "" if meant == '"' else opened
        elif meant == '"':
            opened = sign
        elif before.isspace() and _dash(sign) and (end := _option(text, at)):
            yield "--"  # however many dashes of whatever length a keyboard made of it; nobody types such an option on purpose
            before, naming, at = "-", True, end
            continue
        elif sign in _HYPHENS or (naming and _dash(sign)):
            meant = "-"
        naming = naming and sign != "=" and not sign.isspace()
        yield meant
        before, at = sign, at + 1


def _option(text: str, at: int) -> int:
    """Return where the name of an option begins behind the dashes at this place; 0 where they are a shell's own, or begin none."""
    end = at
    while end < len(text) and end - at < _LONGEST_DASHES and _dash(text[end]):
        end += 1
    begins = end < len(text) and (text[end].isalnum() or text[end] == "_")
    return end if begins and not text[at:end].isascii() else 0


_LONGEST_DASHES = 4


def _unlinked(target: str, label: str | None) -> str:
    if target.startswith(("@", "#")):
        return target
    if target.startswith("!"):
        return label or target
    return label if label is not None else target
