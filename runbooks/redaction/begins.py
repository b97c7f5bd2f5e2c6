"""How a block begins that has to be read as one: a single pattern in linear time, which nearly no line of a log matches.

It imports nothing of redaction, so that `redaction.rules` can put it into the one search for all.
"""

STAMP = rb"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) )?"
"""The kubelet's, before each line of a stream."""
_LINE = rb"(?m:^)" + STAMP
_ENDS = rb"[ \t]*\r?(?m:$)"
STANDARD_JSON = (
    rb"resourceType\\*[\"']?[ \t]{0,3}:[ \t]{0,3}\\*[\"'][A-Z]"
    rb"|\"vr\\*\"[ \t]{0,3}:[ \t]{0,3}\\*\"[A-Z]{2}\\*\"|\"0010,?[0-9A-Fa-f]{4}\\*\"[ \t]{0,3}:[ \t]{0,3}\{"
)
"""A FHIR resource, DICOM's JSON: on one line too, and as a text within other JSON."""

BEGINS = b"|".join(
    (
        # JSON: a bracket that stays open; a name beside its value; a line that only a JSON text has
        rb"[{\[]" + _ENDS,
        rb"\"(?:[Nn]ame|[Kk]ey)\"[ \t]{0,3}:[ \t]{0,3}\"[\w.-]{0,60}(?i:pass|pwd|secret|token|key|cred|auth|cookie)",
        _LINE + rb"[ \t]*\"[^\"\n]{0,1000}\"[ \t]*(?::|,?" + _ENDS + rb")",
        _LINE + rb"[ \t]+[\w$]+:[ \t]+[\[{]",
        STANDARD_JSON,
        # YAML: a key with nothing behind it, or with a text of several lines; an item that names what its value is
        _LINE + rb"[ ]*(?:- )*[\w./$-]+:(?:[ ]*[|>][+-]?\d?)?" + _ENDS,
        _LINE + rb"[ ]*(?:- )+(?:name|key):",
        _LINE + rb"[ ]*(?:- )*kind:[ ]+Secret" + _ENDS,
        # XML
        rb"<\?xml[ \t]|</[A-Za-z]|/>|<[A-Za-z][\w:.-]{0,80}(?:[ \t]+[\w:.-]+[ \t]*=|>?" + _ENDS + rb")",
        # a private key
        rb"-----(?:BEGIN|END) (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY",
        # HL7 with other separators than a bar; X12, DICOM
        rb"\bMSH[^\w\s|][^\w\s]{3}",
        rb"\bISA[^A-Za-z0-9\s]\d\d|(?:" + _LINE + rb"[ \t]*|~ ?)[A-Z][A-Z0-9]{1,2}[*|^]|\b[A-Z][A-Z0-9]{1,2}\*[^\s*]",
        _LINE + rb"(?:[> \t]|\d{1,9}: )*\(?[0-9a-fA-F]{4}, ?[0-9a-fA-F]{4}\)",
        # tables: a rule of dashes, a row of names, one field of a row
        _LINE + rb"[ |+]?-{2,}(?:[+|]-+)*[+|]?" + _ENDS,
        _LINE + rb"(?:-\[ RECORD |\*{10,} \d)",
        _LINE + rb"[ ]*\w{1,60}[ ]*\| ",
        (
            rb"(?i:(?:first|last|given|family|patient|full|sur|member|subscriber)[ _]?name|dob|birth[ _]?date|date[ _]of[ _]birth|mrn|ssn|patient[ _]?id"
            rb"|password)\"?[ ]?[,;\t|]"
        ),
    )
)
