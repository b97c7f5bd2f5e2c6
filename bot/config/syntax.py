"""The signs of a TOML file: where its statements begin, and what is wrong with a file that is not TOML."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator

from commands.kit.typed_text import invisible

_TOKEN = re.compile(
    r'(?P<text>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\[^\n]|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<unclosed>\"\"\".*|'''.*|[\"'][^\n]*)|(?P<comment>#[^\n]*)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<end>\n)",
    re.DOTALL,
)


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that does not begin inside a text or a list of several lines."""
    lines = text.split("\n")  # as TOML does; `splitlines` knows more line breaks
    number, depth = 1, 0
    yield number, lines[0]
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "open":
            depth += 1
        elif token.lastgroup == "close":
            depth = max(0, depth - 1)
        elif token.lastgroup == "end":
            number += 1
            if not depth:
                yield number, lines[number - 1]
        else:
            number += token[0].count("\n")


def explained(error: Exception, text: str) -> str:
    """Return why the file is not TOML, with the place and what to write instead, but without a value from it."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    if not isinstance(error, tomllib.TOMLDecodeError):
        return "a number in it has too many digits."
    words = str(error)
    if not (place := re.search(r" \(at line (\d+), column (\d+)\)$", words)):
        return f"{words}."
    number, column = int(place[1]), int(place[2])
    line = text.split("\n")[number - 1]
    if found := _strange(line, column):
        at, why = found
        return f"{why} (at line {number}, column {at})."
    return f"{_advice(words[: place.start()], line)} (at line {number}, column {column})."


def _strange(line: str, column: int) -> tuple[int, str] | None:
    """Return the column of the line's first sign that TOML does not allow there, and what to write instead."""
    outside = list(line)
    for token in _TOKEN.finditer(line):
        if token.lastgroup in ("text", "comment"):
            outside[token.start() : token.end()] = " " * (token.end() - token.start())
        elif token.lastgroup == "unclosed":  # only a quotation mark may have been meant to close it
            outside[token.start() :] = [sign if sign in _QUOTES else " " for sign in line[token.start() :]]
    at = next((at for at, sign in enumerate(outside, 1) if not (" " <= sign <= "~" or sign == "\t")), None)
    if at is None and column <= len(line) and unicodedata.category(line[column - 1]) == "Cc":
        at = column  # a control character inside a text
    return None if at is None else (at, _told(line[at - 1]))


_QUOTES = "“”„‟«»‘’‚‛"  # noqa: RUF001


def _told(sign: str) -> str:
    code = f"U+{ord(sign):04X}"
    if sign in _QUOTES:
        return f"{sign} ({code}) is a typographic quotation mark: write a straight one, \" or '"
    if invisible(sign) or unicodedata.category(sign)[0] in "ZC":
        name = unicodedata.name(sign, "a control character").lower()
        return f"there is an invisible sign ({name}, {code}): remove it, or write an ordinary space"
    if unicodedata.category(sign) == "Pd":
        return f"{sign} ({code}) is a long dash: write a hyphen, -"
    return f"{sign} ({code}) may stand only between quotation marks"


def _advice(words: str, line: str) -> str:
    """Return what to write instead for the parser's most frequent words, else these."""
    if words == r"Illegal character '\n'":
        return "a text has no closing quotation mark"
    if words == "Invalid value":
        return 'the value can\'t be read: write text in quotation marks, "like this"; true and false in lower case'
    if words == "Cannot overwrite a value":
        return "this setting is there already: write it once"
    if words.startswith("Cannot declare "):
        return "this table is there already: write its header once; `[[…]]` begins another one of a list"
    if words.startswith("Expected '=' after a key"):
        return 'write `key = value`; a key with other signs than letters, digits, - and _ needs quotation marks: `"gate:sign" = …`'
    if words.startswith("Unescaped '\\'"):
        return r"a backslash in double quotation marks is written twice, \\; or use single quotation marks"
    if words == "Invalid statement" and line.lstrip().startswith("{"):
        return "this looks like JSON: write TOML, `[table]` and `key = value`"
    if words.startswith("Expected ']' at the end of a table declaration"):
        return "a table's name ends with `]`: write `[people.maya]`, other signs than letters, digits, - and _ in quotation marks"
    return words
