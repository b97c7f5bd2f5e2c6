"""What is withheld or read line by line, each by itself: X12 messages, HL7 messages with unusual separators, DICOM header dumps; and private keys, up to their last line."""

import re
from collections.abc import Callable

from runbooks.redaction.blocks.reading import FOREIGN, RECORD, Found, Read, Then
from runbooks.redaction.checks import is_placeholder
from runbooks.redaction.marks import MARK, PrivateKind, without_forged

# ---- X12: https://www.stedi.com/edi/x12, segments of the health care transactions 270 to 278, 820, 834, 835, 837 ----

_SEGMENTS = (
    rb"(?:ISA|GS|ST|BHT|HL|TRN|NM1|N[1-4]|PER|REF|PRV|SBR|PAT|DMG|CLM|DTP|DTM|CL1|PWK|CN1|AMT|CRC|CR[1-8]|HI|HCP|LX|SV[1-7]|SVD|CAS|NTE|LIN|CTP"
    rb"|EQ|EB|III|INS|HD|COB|BPR|CLP|SVC|MIA|MOA|PLB|LQ|OI|MEA|UM|HCR|MSG|AAA|BGN|LS|LE|SE|GE|IEA|AK[1-9]|IK[3-5]|CTX|TA1|STC|QTY|CUR|K3|FRM|TOO|DSB)"
)
_ISA = re.compile(rb"\bISA(?P<sep>[^A-Za-z0-9\s])\d\d(?P=sep)")
_SEGMENT = re.compile(rb"\s*+" + _SEGMENTS + rb"(?:\*[^\r\n]*+$|[|^][^\r\n]*+(?<=[~'])$)")
_SEGMENT_WITHIN = re.compile(
    rb"~[ ]?" + _SEGMENTS + rb"[*|^]|(?<![\w*])" + _SEGMENTS + rb"\*(?:[A-Z0-9]{1,3}\*[^\s*]|[^\s*~][^~\r\n]{0,200}+~)"
)
"""Behind another, or behind a log's prefix."""
_ENDS = re.compile(rb"IEA[^A-Za-z0-9\s]\d{1,5}[^A-Za-z0-9\s]")
_HEADER = 105
"""Where an ISA segment, whose fields are of fixed length, names what ends a segment."""
X12_NAME = "an X12 message of {segments} was withheld"


class X12:
    """An interchange, from its ISA to its IEA; or any line that only such a message has."""

    def __init__(self) -> None:
        self.steps = 0
        self._terminator = b"~"
        self._separator = b"*"
        self._open = False

    @staticmethod
    def opens(line: bytes, at: int) -> bool:
        """The line has a segment."""
        return (
            _ISA.search(line, at) is not None
            or _SEGMENT.match(line, at) is not None
            or _SEGMENT_WITHIN.search(line, at) is not None
        )

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        if (begins := _ISA.search(line, at)) is not None:
            self._open, self._separator = True, begins["sep"]
            if (ends := line[begins.start() + _HEADER : begins.start() + _HEADER + 1]).strip():
                self._terminator = ends
        elif RECORD.match(line, at) and not X12.opens(line, at):
            return FOREIGN
        elif not line[at:].strip():
            return Read(Then.MORE)
        elif not (self._goes_on(line, at) if self._open else X12.opens(line, at)):
            return FOREIGN
        over = self._open and _ENDS.search(line, at) is not None
        segments = max(1, line.count(self._terminator, at))
        return Read(Then.OVER if over else Then.MORE, withheld=X12_NAME, units=segments)

    def _goes_on(self, line: bytes, at: int) -> bool:
        return line.find(self._separator, at) >= 0 or line.find(self._terminator, at) >= 0


# ---- HL7 v2 with other separators than the usual bar, which `runbooks.redaction.hl7` reads field by field ----

_MSH = re.compile(rb"\bMSH(?P<sep>[^\w\s|])(?:(?!(?P=sep))[^\w\s]){3,5}(?P=sep)")
HL7_NAME = "an HL7 message of {segments} was withheld"


class Hl7:
    """From its MSH segment on, as long as lines begin like segments."""

    def __init__(self) -> None:
        self.steps = 0
        self._goes_on: re.Pattern[bytes] | None = None

    @staticmethod
    def opens(line: bytes, at: int) -> bool:
        """The line has the first segment."""
        return _MSH.search(line, at) is not None

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        if (begins := _MSH.search(line, at)) is not None:
            self._goes_on = re.compile(rb"\s*+[A-Z][A-Z0-9]{2}" + re.escape(begins["sep"]))
        elif self._goes_on is None or self._goes_on.match(line, at) is None:
            return FOREIGN
        return Read(Then.MORE, withheld=HL7_NAME)


# ---- DICOM: PS3.6 (the dictionary), PS3.15 E (what tells who somebody is) ----

_TAG = re.compile(rb"\s*+(?:>|\d{1,9}:\s)*+\s*+\(?(?P<group>[0-9a-fA-F]{4}),\s?(?P<element>[0-9a-fA-F]{4})\)\s?")
_VR = re.compile(
    rb"\b(?P<vr>A[ETS]|AT|CS|D[AST]|F[LD]|IS|L[OT]|O[BDFLVW]|PN|S[HLQSTV]|TM|U[CILNRSTV]|US|ox|xs|na)(?P<colon>:)?(?=\s|$|\[)"
)
_LENGTH = re.compile(rb"\s*+(?:#?\d{1,9}\s)?\s*+")
_NUMBERS = frozenset((b"US", b"SS", b"UL", b"SL", b"FL", b"FD", b"IS", b"DS", b"AT", b"SQ", b"CS", b"na", b"xs"))
_TAGS: dict[bytes, PrivateKind] = {
    b"00100010": PrivateKind.NAME, b"00100020": PrivateKind.MRN, b"00101000": PrivateKind.MRN, b"00100030": PrivateKind.BIRTH_DATE, b"00101010": PrivateKind.NARRATIVE,
    b"00101040": PrivateKind.ADDRESS, b"00102154": PrivateKind.PHONE, b"00080050": PrivateKind.RECORD, b"00200010": PrivateKind.RECORD,
    b"00080081": PrivateKind.ADDRESS, b"00101050": PrivateKind.PLAN, b"00181000": PrivateKind.DEVICE,
}  # fmt: skip
_SEX = b"00100040"
_DEFINED = re.compile(rb"=\w++|1\.2\.840\.10008\.[\d.]++")


class Dicom:
    """One element a line. Of the header only codes, numbers of the picture and what DICOM itself defines stay."""

    def __init__(self) -> None:
        self.steps = 0

    @staticmethod
    def opens(line: bytes, at: int) -> bool:
        """The line begins with a tag and says what kind of value follows."""
        tag = _TAG.match(line, at)
        return tag is not None and _VR.search(line, tag.end()) is not None

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        tag = _TAG.match(line, at)
        if tag is None:
            return FOREIGN
        vr = _VR.search(line, tag.end())
        if vr is None:
            return Read(Then.MORE, withheld="{lines} of a DICOM header withheld")
        start, end = _value(line, vr.end())
        value = line[start:end].strip(b" '\"\0")
        if value.startswith((b"(no value", b"(Sequence", b"<Sequence")):
            return Read(Then.MORE)
        kind = what_dicom_tells(vr["vr"], tag["group"].lower() + tag["element"].lower(), value)
        return Read(Then.MORE, [Found(kind, start, end)] if kind is not None else [])


def _value(line: bytes, at: int) -> tuple[int, int]:
    """Behind the value's kind and its length: in brackets or quotation marks, or what stands before the comment."""
    begins = _LENGTH.match(line, at)
    start = begins.end() if begins is not None else at
    mark = MARK.match(line, start)
    if mark is not None and line[mark.end() :].strip()[:1] in (b"", b"#"):
        return start, mark.end()
    if line.startswith(b"[", start):
        end = line.rfind(b"]")
        return start + 1, end if end > start else len(line)
    end = line.rfind(b" #", start)
    end = end if end >= 0 else len(line)
    while end > start and line[end - 1] in b" \t":
        end -= 1
    if end - start > 1 and line[start] in b"'\"" and line[end - 1] == line[start]:
        return start + 1, end - 1
    return start, end


def what_dicom_tells(vr: bytes, tag: bytes, value: bytes) -> PrivateKind | None:
    """What the element's value tells, or None where it may be seen: codes, numbers of the picture and what DICOM itself defines.

    The tag is eight hexadecimal digits in lower case.
    """
    if is_placeholder(value) or MARK.fullmatch(value) is not None or tag == _SEX or _DEFINED.fullmatch(value):
        return None
    if vr == b"SQ" or (vr in _NUMBERS and not tag.startswith(b"0010")):
        return None
    if (kind := _TAGS.get(tag)) is not None:
        return kind
    match vr:
        case b"PN":
            return PrivateKind.NAME
        case b"DA" | b"DT" | b"TM":
            return PrivateKind.DATE
        case b"AS":
            return PrivateKind.AGE
        case b"UI":
            return PrivateKind.RECORD
        case _:
            return PrivateKind.NARRATIVE


# ---- PEM: RFC 7468 ----

_KEY_BEGINS = re.compile(rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
KEY_ENDS = re.compile(rb"-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_OF_A_KEY = re.compile(rb"[\s>|\"']*+(?:[A-Za-z0-9+/=]{1,200}+|[A-Za-z][\w-]{1,40}: .*+)?(?:\\n)?[\"',+\s\\]*+$")


_LONGEST_KEY = 16 << 10


def without_keys(text: bytes, mark: Callable[[PrivateKind, bytes], bytes]) -> bytes:
    """The text with one mark for each key that is there whole: before a pattern takes a token that its first line is stuck to."""
    out: list[bytes] = []
    at = 0
    ends: re.Match[bytes] | None = None
    while (begins := _KEY_BEGINS.search(text, at)) is not None:
        if ends is None or ends.start() < begins.end():  # each is looked for once
            ends = KEY_ENDS.search(text, begins.end())
        if ends is None:
            break
        start, end = begins.span()
        if ends.end() - start <= _LONGEST_KEY:
            end = ends.end()
            out += (text[at:start], mark(PrivateKind.PRIVATE_KEY, text[start:end]))
        else:
            out.append(text[at:end])
        at = end
    return text if not out else b"".join((*out, text[at:]))


class PrivateKey:
    """From the line that begins a key to the one that ends it: each line of it goes."""

    def __init__(self) -> None:
        self.steps = 0

    @staticmethod
    def opens(line: bytes, at: int) -> bool:
        """A key begins here and does not end on the same line, which line patterns see by themselves."""
        begins = _KEY_BEGINS.search(line, at)
        return begins is not None and KEY_ENDS.search(line, begins.end()) is None

    def read(self, line: bytes, at: int) -> Read:
        """As `Reader` says."""
        self.steps += 1
        ends = KEY_ENDS.search(line, at)
        begins = _KEY_BEGINS.search(line, at)
        if begins is not None:
            return Read(Then.MORE, [Found(PrivateKind.PRIVATE_KEY, begins.start(), len(line))])
        if ends is None and _OF_A_KEY.match(without_forged(line[at:])) is None:
            return FOREIGN
        return Read(Then.OVER if ends else Then.MORE, withheld="{lines} withheld: rest of a private key")
