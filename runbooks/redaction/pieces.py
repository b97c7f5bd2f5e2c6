r"""Pieces of the patterns for what must never leave: the clothes that a text may wear, names, dates. All on bytes.

Used by `runbooks.redaction.rules` and `redaction.people`.
"""

GAP = (
    rb"(?:[\s:#=.\"'\\>|,(\[{~-]|%(?:20|3[AaDdEe]|2[2378CcDd]|0[AaDd9]|5[BbCc]|7[Bb])|\+|\\[nrtu]|&(?:quot|#3[49]|gt);)"
)
SPACE = rb"(?:[ \t]|\r?\n[ \t]{0,40}|%20|\+|\\[nt])"
OPENS = rb"(?:\\{0,3}[\"'<]|%22|&quot;)?"
DASH = rb"(?:-|\xe2\x80[\x90-\x95]|%2[Dd])"
COLON = rb"(?::|%3[Aa])"
SLASH = rb"(?:\\?/|%2[Ff])"

# A capitalised word of a name, in any script that UTF-8 writes with more than one byte (not U+2000 to U+2FFF: dashes,
# quotation marks, arrows, boxes).
LETTERS = rb"(?:[\xc3-\xdf][\x80-\xbf]|[\xe0\xe1\xe3-\xef][\x80-\xbf][\x80-\xbf])"
WORD = rb"(?:[A-Z]|" + LETTERS + rb")(?:[A-Za-z'-]|\xe2\x80\x99|" + LETTERS + rb"){1,40}"
JOIN = rb"(?:[ \t]{1,2}|\r?\n|%20|\+|\\n|,[ ]?|%2[Cc](?:%20|\+)?)"
NAME = (
    WORD
    + rb"(?:"
    + JOIN
    + rb"(?:(?:da|de|del|der|den|di|la|van|von|al|el|bin|ibn)"
    + JOIN
    + rb"){0,2}(?:"
    + WORD
    + rb"|[A-Z]\b\.?)){0,3}"
)

ASSIGN = rb"(?:\\{0,3}[\"']{1,2}(?:\])?|\[\]|%22|&quot;)?(?:\s{0,3}|[ \t]{4,40})(?:=>|[ \t]->|:{1,3}=|[.?+|]{1,2}=|={1,3}|[:>]|%3[AaDd])"
GAPS = rb"(?:[:=]?[ \t]{4,60})?" + GAP
"""Behind a cue, where columns are aligned with blanks; a number of repetitions follows."""
FILLER = rb"(?:(?i:number|num|no|nr|id|is|was|of|value)" + GAP + rb"{1,3})?"
MONTH = rb"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
DATE = (
    rb"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{8}|\d{1,2}\.?[ ]"
    + MONTH
    + rb",?[ ]\d{4}|\d{1,2}-"
    + MONTH
    + rb"-\d{2,4}|\d{1,2}"
    + MONTH
    + rb"\d{4}|"
    + MONTH
    + rb"[ ]\d{1,2},?[ ]\d{4}|\d{4}%2[DdFf]\d{1,2}%2[DdFf]\d{1,2})"
)
SEP = rb"(?:[-. ]|\r?\n|%20|%2[Dd]|\\n)"
