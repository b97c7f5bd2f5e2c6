"""How a pattern for what must never leave is given to google-re2, which is imported when the first text comes.

Used by `runbooks.redaction.rules`, `redaction.disguise` and `redactor`.
"""

import re
from typing import Any


def compiled(source: bytes) -> Any:
    """For google-re2: groups that only `re` reads are left out, since re2 is much faster without any."""
    import re2

    return re2.compile(without_groups(source), options())


def without_groups(source: bytes) -> bytes:
    """The same for google-re2."""
    return re.sub(rb"\(\?P<\w+>", b"(?:", source)


def options() -> Any:
    """On bytes, and with room for one large alternation."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 256 << 20
    return options
