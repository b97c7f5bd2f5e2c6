"""Statements as they may be shown: what was written into them is hidden, names of tables and columns stay.

pg_stat_statements puts `$1` for most literals, but not for those of utility statements (`CREATE ROLE … PASSWORD '…'`), and what runs
now is not normalised at all. So no literal is ever shown, whoever wrote it; comments, where programs put names and trace ids, go.
Redaction (`runbooks.redaction.redactor`) follows on the way out as for everything else; this needs no pattern to recognise a person.
"""

import re

HIDDEN = "'…'"
_NUMBER = "?"

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<parameter>\$\d+)
    | (?P<dollar>\$(?P<tag>[A-Za-z_\x80-\U0010ffff][\w]*)?\$)
    | (?P<escaped>[eE]')
    | (?P<string>(?:[bBxXnN]|[uU]&)?')
    | (?P<name>"(?:[^"]|"")*")
    | (?P<open>")
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$]*)
    | (?P<number>(?:\d[\w.]*|\.\d[\w.]*))
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_DIRECTIONS = frozenset({"asc", "desc", "nulls", "first", "last"})
_ESCAPED = re.compile(r"(?:[^'\\]|''|\\.)*'", re.DOTALL)
_STRING = re.compile(r"(?:[^']|'')*'", re.DOTALL)
_COMMENT = re.compile(r"/\*|\*/")


def masked(text: str) -> str:
    """The statement on one line, without literals and comments, unquoted words in small letters as PostgreSQL reads them.

    Where it can't be told how a literal ends, everything from there on is hidden.
    """
    out: list[str] = []
    at = 0
    places = False
    """In a list behind `ORDER BY` or `GROUP BY`, where a digit is the place of a column and no value."""
    while found := _TOKEN.match(text, at):
        kind, word = found.lastgroup or "sign", found.group()
        kind = "dollar" if kind == "tag" else kind
        at = found.end()
        if kind in ("space", "line", "block"):
            at = _after_comment(text, at) if kind == "block" else at
            out.append(" ")
        elif kind in ("dollar", "escaped", "string", "open"):
            end = _end(text, at, kind, word)
            out.append(HIDDEN)
            if end is None:
                break
            at = end
        elif kind == "word":
            out.append(word.lower())
        else:
            is_place = places and len(word) == 1
            out.append(_NUMBER if kind == "number" and not is_place else word)
        if kind not in ("space", "line", "block"):
            places = (kind == "word" and word.lower() == "by") or (
                places and (word == "," or kind == "number" or word.lower() in _DIRECTIONS)
            )
    return re.sub(r" +", " ", "".join(out)).strip()


def _end(text: str, at: int, kind: str, word: str) -> int | None:
    """Behind the literal; None where that is not sure."""
    if kind == "dollar":
        end = text.find(word, at)
        return None if end < 0 else end + len(word)
    if kind == "open":
        return None
    found = (_ESCAPED if kind == "escaped" else _STRING).match(text, at)
    # an older server may read a backslash before the quote as part of the literal, which then ends elsewhere
    if found is None or (kind == "string" and text[found.end() - 2 : found.end() - 1] == "\\"):
        return None
    return found.end()


def _after_comment(text: str, at: int) -> int:
    """Comments nest."""
    depth = 1
    while depth:
        found = _COMMENT.search(text, at)
        if found is None:
            return len(text)
        depth += 1 if found.group() == "/*" else -1
        at = found.end()
    return at
