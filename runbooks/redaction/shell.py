"""Words and lines for a person's own shell. Redacting a line that is quoted already can end its quotes, and the rest of a value then runs."""

import shlex
from collections.abc import Callable, Iterable, Sequence

from runbooks.redaction.redactor import default_redactor

WITHHELD_LINE = "# A line is withheld, because it has private data in it."
"""Stands in place of a line; a shell ignores it."""


def quoted(words: Iterable[str]) -> str:
    """Return the words for a shell: each redacted first, and quoted then."""
    redact = default_redactor().text
    return shlex.join(redact(word) for word in words)


def kept_lines(lines: Sequence[str], redact: Callable[[str], str]) -> tuple[str, ...]:
    """Return the lines as they may be pasted: one that redaction would change is withheld; all, where the rest may not stand alone."""
    kept = tuple(line if redact(line) == line else WITHHELD_LINE for line in lines)
    whole = "\n".join(kept)
    if redact(whole) != whole or (kept != tuple(lines) and not all(map(_complete, lines))):
        return (WITHHELD_LINE,)
    return kept


def _complete(line: str) -> bool:
    """Return whether every quote that is opened in the line is closed in it."""
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True


def pasted(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines as they may be pasted, with this process's redactor."""
    return kept_lines(lines, default_redactor().text)
