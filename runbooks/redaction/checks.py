"""The exact questions about one hit, asked only after a pattern has found it: calendar, ranges, randomness, words.

Used by `runbooks.redaction.rules`. Small and pure, on bytes.
"""

import base64
import binascii
import re

_PLACEHOLDER = re.compile(
    rb"(?i:\*+|x{3,}|\.{3}|\xe2\x80\xa6|null|none|nil|true|false|undefined|redacted|<[\w -]{0,40}>|\$\{[\w.:-]{1,80}\}"
    rb"|\$\([\w.:-]{1,80}\)|\{\{.{0,80}\}\}|not|missing|required|expired|invalid|unset|empty)[,;.)\]}]*"
)
_WORDS = re.compile(rb"[A-Za-z]?[a-z]*(?:-[a-z]+)*[.,;:!?]*")


def is_placeholder(value: bytes) -> bool:
    """Nothing was there in the first place: empty, stars, `null`, a variable's name, `<redacted>`."""
    return not value or _PLACEHOLDER.fullmatch(value) is not None


def looks_like_a_word(value: bytes) -> bool:
    """Plain English letters, as prose has them: `expired`, `Authentication`."""
    return _WORDS.fullmatch(value) is not None


def is_basic_credential(value: bytes) -> bool:
    """Base64 of `user:password`."""
    plain = value.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    try:
        text = base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in text


def valid_ssn(value: bytes) -> bool:
    """Numbers that the Social Security Administration gives out: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    digits = re.sub(rb"\D", b"", re.sub(rb"%2[Dd]", b"", value))
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in (b"000", b"666") and not area.startswith(b"9") and group != b"00" and serial != b"0000"


_NUMBERS = re.compile(rb"\d+")
_ESCAPED_JOINTS = re.compile(rb"%2[DdFf]")


def is_birth_date(value: bytes) -> bool:
    """Some day that a calendar could have; a birth cue stands before it, so the benefit of the doubt is the patient's."""
    numbers = [int(each) for each in _NUMBERS.findall(_ESCAPED_JOINTS.sub(b"-", value))]
    return all(number <= 99_999_999 for number in numbers) and any(number > 0 for number in numbers)  # noqa: PLR2004


_SHORTEST_RANDOM = 20


def is_random(token: bytes) -> bool:
    """A key or token made by chance, rather than a digest (hex), an identifier, a class name or a path.

    Three signs together: lower case, upper case and digits all appear; capitals are no mere word beginnings; and the
    class of character changes as often as chance makes it (0.6 of all steps; 0.1 to 0.25 in camelCase).
    """
    if len(token) < _SHORTEST_RANDOM:
        return False
    letters = token.translate(None, b"0123456789+/_-")
    upper = len(letters) - len(letters.translate(None, _UPPER))
    if not letters or len(letters) == len(token.translate(None, b"+/_-")) or not 0.2 <= upper / len(letters) <= 0.85:  # noqa: PLR2004
        return False
    sample = token[:512]
    return class_changes(sample) / (len(sample) - 1) >= 0.33 and len(set(sample)) >= 10  # noqa: PLR2004


def class_changes(value: bytes) -> int:
    """How often a digit, a lower-case letter, an upper-case letter and another sign take turns."""
    return max(0, len(_RUN.findall(value.translate(_CLASSES))) - 1)


_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RUN = re.compile(rb"\x00++|\x01++|\x02++|\x03++")
_CLASSES = bytes(
    0 if 48 <= byte <= 57 else 1 if 65 <= byte <= 90 else 2 if 97 <= byte <= 122 else 3  # noqa: PLR2004
    for byte in range(256)
)

_NOT_NAMES = frozenset(
    b"""http https json xml html uuid url uri fhir icu er ok post debug info warn warning fatal trace null none true false
    mrn ssn dob phone tel fax email mail mobile cell address born age sex gender insurance policy room ward bed
    access account admin admission alert all allergy and api app application appointment are attempt audit authentication
    authorization backend backup batch bundle care cache chart check claim client cluster code config configuration
    conflict connection consent container context controller coverage create created data database delete deleted demographics
    deploy deployment details device diagnosis discharge document does duplicate encounter endpoint error event exists export
    failed fetch file filter for form found frontend gateway get handler has health history home identifier image import
    in index info information insert instance intake is job key list load lock lookup lost matching merge merged message migration
    missing model monitor name namespace navigation node not number object observation of on operation order page patch
    path payload persistent plan pod policy portal post process profile provider put queue query read ready record records
    refresh registration rejected replica report request resource response result retry roll rollback rollout route run
    safety save schema search secret select server service session set sql stack started stateful status step store stream
    subscription summary sync synced system table task test the timeline timeout to token type unknown up update updated
    user validation value version view volume was web websocket with worker
    where from join left right inner outer group having limit offset values into returning using when then else end case between like asc desc
    by or select insert""".split()
)
_NO_NAME_GOES_ON = frozenset(bytes([sign]) for sign in b"/_=0123456789")
_BETWEEN_WORDS = re.compile(rb"(?:[ \t\r\n,+]|%20|%2[Cc]|\\n)+")


def looks_like_a_person(data: bytes, start: int, end: int, *, words: int) -> int:
    """Where the name in `data[start:end]` ends: before the first word that no person is called; `start` if it is none."""
    last, at, count = start, start, 0
    while at < end:
        gap = _BETWEEN_WORDS.search(data, at, end)
        word_ends = gap.start() if gap else end
        if data[at:word_ends].strip(b".").lower() in _NOT_NAMES or data[word_ends : word_ends + 1] in _NO_NAME_GOES_ON:
            break
        count += 1
        last = word_ends
        at = gap.end() if gap else end
    return last if count >= words else start
