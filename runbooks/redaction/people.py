r"""The patterns for what tells who a patient is, beyond names, numbers and birth dates: HIPAA's Safe Harbor list, 45 CFR 164.514(b)(2).

Used by `runbooks.redaction.rules`; `redaction.identifiers` then says what of a hit goes. Most stand behind a cue, because what an
engineer needs looks alike (a cluster's own addresses, versions, sizes, times of log lines); a few are known by their own form and a
check digit.
"""

from runbooks.redaction.pieces import ASSIGN, DATE, FILLER, GAP, GAPS, NAME, SLASH

_NUMBER = rb"(?:[ _.-]?(?i:number|num|no|nr|id|identifier)\b\.?|[ ]?#)"
_ID = rb"[A-Za-z]{0,6}[-/]?\d[A-Za-z0-9/-]{3,24}"
"""Begins with a few letters at most, and has a digit early: a word is none."""

_PLAN = (
    rb"(?i:\b(?:(?:insurance|health[ _-]?plan|member|subscriber|beneficiary|insured|coverage|payer)(?:[ _-]?policy)?|policy)"
    + _NUMBER
    + rb"|\b(?:medicare|medicaid)(?:"
    + _NUMBER
    + rb")?|\bmbi\b)"
)
_ACCOUNT = (
    rb"(?i:\b(?:(?:patient|billing|bank|guarantor|hospital)[ _-]?)?(?:account|acct\.?)[ _-]?(?:number|num|no|nr)\b\.?"
    rb"|\b(?:billing|bank|guarantor|patient)[ _-]?account(?:[ _-]?id)?|\baccount[ ]?#)"
)
_LICENCE = (
    rb"(?i:\b(?:driver'?s?|driving|medical|nursing|professional|pilot'?s?)[ _-]?licen[sc]e(?:"
    + _NUMBER
    + rb")?|\blicen[sc]e[ _-]?(?:number|num|no|nr)\b|\bpassport(?:"
    + _NUMBER
    + rb")?|\bcertificate[ _-]?(?:number|num|no|nr)\b|\bDEA(?:"
    + _NUMBER
    + rb")?)"
)
_PLATE = (
    rb"(?i:\b(?:licen[sc]e|number|vehicle|registration)[ _-]?plate|\bplate"
    + _NUMBER
    + rb"|\bvehicle"
    + _NUMBER
    + rb"|\bvin\b)"
)
_DEVICE = (
    rb"(?i:\b(?:device|implant|pump|pacemaker|defibrillator|glucometer|stent|prosthesis|monitor)[ _-]?(?:serial|sn|udi)(?:"
    + _NUMBER
    + rb")?|\b(?:implant|pump|pacemaker|defibrillator|glucometer|stent|prosthesis)"
    + _NUMBER
    + rb"|\bdevice[ _-]?(?:id|identifier|number)\b|\bserial[ _-]?(?:number|num|no|nr)\b\.?|\budi\b|\bimei\b|\bS/N\b)"
)
_RECORD = (
    rb"(?i:\b(?:accession|encounter|visit|specimen|case|claim|prescription|rx|referral|chart|record)" + _NUMBER + rb")"
)
_BIOMETRIC = (
    rb"(?i:(?:finger|voice|palm)[ _-]?print[ _-]?(?:id|template|hash|image|data)|(?:retina|iris|face)[ _-]?(?:scan|template|id|embedding)"
    rb"|biometric[ _-]?(?:id|template|hash|data))"
)
_EVENT = (
    rb"(?i:\b(?:admi(?:tted|ssion|t)|discharged?|deceased|death|dod|date[ _-]of[ _-](?:death|admission|discharge|service|visit)"
    rb"|appointment|surgery|procedure|encounter|visit|onset|immuni[sz]ation|vaccinated|diagnosed|operated|seen)"
    rb"(?:[ _-]?(?:date(?:[ _-]?time)?|time|start|end|on|at|since|is|was|for)){0,2})"
)
_TIME = rb"(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?)?"
_STREET = (
    rb"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Terrace|Ter|Parkway|Pkwy|Circle|Cir"
    rb"|Highway|Hwy|Square|Sq|Trail|Trl|Crescent|Close)\b\.?"
)
_BLANK = rb"(?:[ ]{1,2}|%20|\+)"
_NEXT = rb"(?:,[ ]?|%2C(?:%20)?|[ ]|\r?\n[ \t]{0,40}|\\n)"
_STATE = rb"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|PR|RI|S[CD]|T[NX]|UT|V[AIT]|W[AIVY])"
_ZIP = rb"\d{5}(?:-\d{4})?"
_CITY = rb"[A-Z][A-Za-z.'-]{1,24}(?:[ ][A-Z][A-Za-z.'-]{1,24}){0,2}"
_PLACE = _CITY + _NEXT + _STATE + _NEXT + _ZIP
_IP = rb"(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-fA-F]{1,4}:){2,7}[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{1,4}){0,5})"
_RELATIVE = (
    rb"(?i:\b(?:mother|father|wife|husband|spouse|daughter|son|sister|brother|guardian|next[ _-]of[ _-]kin|emergency[ _-]contact|caregiver"
    rb"|contact[ ]person)(?:'s)?(?:[ _-]?name)?(?:[ ]is)?)"
)

# In the order in which they are tried where two begin at the same byte.
RULES: tuple[tuple[str, bytes], ...] = (
    (
        "hl7",
        rb"(?:\\[rn]|%0[AaDd]|\b)(?P<hl7>(?:PID|NK1|GT1|IN1|IN2|MRG|PV1|PV2|ORC|OBR|OBX|ROL|STF|PRA|AL1|PRB|DG1|NTE|Z[A-Z0-9]{2})\|)",
    ),
    (
        "picture",
        rb"(?i:data:(?:image|audio|video|application)/[a-z0-9.+-]{2,40});base64,(?P<picture>[A-Za-z0-9+/=_%-]{16})",
    ),
    (
        "structure",
        rb"[\"'](?i:address|name|telecom|identifier|photo|(?:[a-z]{2,16})?period)\\{0,3}[\"']\s{0,3}:\s{0,9}(?P<structure>[\[{])",
    ),
    ("sealed", rb"\"(?:stringData|data)\\{0,3}\"\s{0,3}:\s{0,3}(?P<sealed>\{)"),
    (
        "street",
        rb"\b(?P<street>\d{1,6}[A-Za-z]?"
        + _BLANK
        + rb"(?:[NSEW]{1,2}\.?"
        + _BLANK
        + rb")?(?:[A-Z0-9][A-Za-z0-9'.-]{1,24}"
        + _BLANK
        + rb"){1,4}"
        + _STREET
        + rb"(?:"
        + _NEXT
        + rb"(?:(?i:apt|apartment|unit|suite|ste|floor|room)\.?[ ]?|#[ ]?)[A-Za-z0-9-]{1,6})?(?:"
        + _NEXT
        + _PLACE
        + rb")?)",
    ),
    ("po_box", rb"(?P<po_box>P\.?[ ]?O\.?[ ]Box[ ]\d{1,8}(?:" + _NEXT + _PLACE + rb")?)"),
    ("place", rb"\b(?P<place>" + _PLACE + rb")\b"),
    (
        "zip",
        rb"(?i:\bzip(?:[ _-]?code)?|\bpostal[ _-]?code)"
        + GAP
        + rb"{1,6}(?P<zip>"
        + _ZIP
        + rb"|[A-Z]\d[A-Z][ ]?\d[A-Z]\d)\b",
    ),
    (
        "address",
        rb"(?i:\b(?:home|mailing|street|residential|postal|patient)[ _-]?address|\blives[ ]at|\baddress)"
        + ASSIGN
        + rb"?(?P<address>\s?[\"']?\s?)\d{1,6}[ ][A-Za-z]",
    ),
    ("event_date", _EVENT + GAPS + rb"{1,6}(?P<event_date>" + DATE + _TIME + rb")\b"),
    ("age", rb"(?i:\bage[d]?)" + GAPS + rb"{1,6}(?:value" + GAP + rb"{1,6})?(?P<age>9\d|1[01]\d)\b"),
    ("old", rb"\b(?P<old>9\d|1[01]\d)[ -]?(?i:years?[ -]old|years?[ ]of[ ]age|yrs?[ -]old|y/?o\b)"),
    ("plan", _PLAN + GAPS + rb"{1,8}" + FILLER + rb"(?P<plan>" + _ID + rb")\b"),
    (
        "mbi",
        rb"\b(?P<mbi>[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d-?[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d-?[AC-HJKMNP-RT-Y]{2}\d{2})\b",
    ),
    ("account", _ACCOUNT + GAPS + rb"{1,8}" + FILLER + rb"(?P<account>" + _ID + rb")\b"),
    (
        "card",
        rb"\b(?P<card>(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2})(?:[ -]?\d{4}){3}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5})\b",
    ),
    ("iban", rb"\b(?P<iban>[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?)\b"),
    ("card_cue", rb"(?i:\bcard)(?:" + _NUMBER + rb")?" + GAPS + rb"{1,6}(?P<card_cue>\d(?:[ -]?\d){11,18})\b"),
    (
        "iban_cue",
        rb"(?i:\biban)"
        + GAPS
        + rb"{1,6}(?P<iban_cue>[A-Za-z]{2}\d{2}(?:[ ]?[A-Za-z0-9]{4}){3,7}(?:[ ]?[A-Za-z0-9]{1,3})?)\b",
    ),
    ("licence", _LICENCE + GAPS + rb"{1,8}" + FILLER + rb"(?P<licence>" + _ID + rb")\b"),
    ("plate", _PLATE + GAPS + rb"{1,8}" + FILLER + rb"(?P<plate>[A-Z0-9][A-Z0-9 -]{2,15}[A-Z0-9])\b"),
    ("vin", rb"\b(?P<vin>[A-HJ-NPR-Z0-9]{17})\b"),
    ("device", _DEVICE + GAPS + rb"{1,8}" + FILLER + rb"(?P<device>(?:\(01\))?" + _ID + rb")"),
    ("record", _RECORD + GAPS + rb"{1,8}" + FILLER + rb"(?P<record>" + _ID + rb")\b"),
    ("biometric", _BIOMETRIC + GAP + rb"{1,8}(?P<biometric>[A-Za-z0-9+/=_:-]{8})"),
    (
        "person_ip",
        rb"(?:(?i:(?:client|remote|peer|user|visitor|caller|patient)[ _-]?(?:ip|addr(?:ess)?)|x-forwarded-for|x-real-ip|\bforwarded[ ]for)"
        + GAP
        + rb"{1,6}|\b(?i:client|remote|peer)"
        + ASSIGN
        + GAP
        + rb"{0,3}/?|\[client[ ])(?P<person_ip>"
        + _IP
        + rb"(?:,[ ]?"
        + _IP
        + rb"){0,8})",
    ),
    ("access_ip", rb"\b(?P<access_ip>" + _IP + rb")[ ]-[ ](?:-|[\w.@-]{1,60})[ ]\[\d"),
    (
        "profile",
        rb"(?P<profile>(?:https?:"
        + SLASH
        + SLASH
        + rb")?(?:www\.)?(?:facebook|instagram|linkedin|twitter|tiktok|youtube)\.com"
        + SLASH
        + rb"(?:in"
        + SLASH
        + rb"|@)?[A-Za-z0-9_.-]{2,60})",
    ),
    (
        "own_url",
        rb"(?i:\bhome[ _-]?page|\bpersonal[ _-]?(?:site|website|url)|\bpatient[ _-]?(?:url|website|portal|link))"
        + GAP
        + rb"{1,6}(?P<own_url>https?:"
        + SLASH
        + SLASH
        + rb"[^\s\"'<>]{3,300})",
    ),
    (
        "display",
        rb"display\\{0,3}\"\s{0,3}:\s{0,3}(?P<display>\\{0,3}\")",
    ),
    (
        "clinical_date",
        rb"(?:(?:effective|onset|abatement|performed|occurrence|deceased)DateTime|effectiveInstant|issued|authoredOn|recordedDate|assertedDate)"
        rb"\\{0,3}\"\s{0,3}:\s{0,3}\\{0,3}\"(?P<clinical_date>" + DATE + _TIME + rb")\b",
    ),
    (
        "search",
        (
            rb"[?&](?P<search>(?:family|given|name|patient|subject|birthdate|phone|email|telecom|identifier|address(?:-city|-postalcode)?)"
            rb"(?::[a-z]{1,12})?=[^&\s\"'<>#;\\]{1,200})"
        ),
    ),
    (
        "city",
        rb"\b(?i:city|town|hometown)" + ASSIGN + GAP + rb"{0,3}(?P<city>" + NAME + rb")",
    ),
    (
        "coordinate",
        rb"(?i:\blat(?:itude)?|\blon(?:gitude)?|\blng)" + ASSIGN + GAP + rb"{0,3}(?P<coordinate>-?\d{1,3}\.\d{3,15})\b",
    ),
    ("relative", _RELATIVE + GAPS + rb"{1,6}(?P<relative>" + NAME + rb")"),
    ("name_before", rb"\b(?P<name_before>" + NAME + rb")(?:,?[ ]?\(?)(?i:mrn|dob|ssn)\b"),
)
