"""The patterns for what databases and ORMs write of a row; `redaction.sql` and `redaction.sql_calls` read what they find. Used by `runbooks.redaction.rules`."""

_COLUMN = (
    rb"(?i:(?:first|last|middle|given|family|full|maiden|patient|sur)_?name|surname|forename|[fl]name|mrn|medical_?record(?:_?(?:number|no|id))?"
    rb"|patient_?(?:id|no|number|mrn)|chart_?(?:no|number)|dob|date_?of_?birth|birth_?(?:date|day)|ssn|social_?security(?:_?(?:number|no))?"
    rb"|(?:home_?|work_?|mobile_?|cell_?)?phone(?:_?number)?|mobile|email(?:_?address)?|street(?:_?address)?|address_?line_?[12]?|home_?address|city"
    rb"|zip(?:_?code)?|postal_?code|member_?id|policy_?(?:no|number)|account_?(?:no|number))"
)
_TYPE = rb"[\"`\])\\]{0,4}(?:::[a-z ]{1,24})?\)?"

_UNREAD = (
    rb"(?:(?i:invalid\sinput\s(?:syntax|value)\sfor\s[\w\s.\[\]\\\"]{1,80}(?:\(\d{1,5}(?:,\s?\d{1,5})?\))?"
    rb"|field\svalue\sout\sof\srange|malformed\s\w{1,12}\sliteral)"
    rb"|\bCOPY\s[\w.\"\\]{1,128},\s{1,3}line\s\d{1,12}(?:,\s{1,3}column\s[\w\"\\]{1,70})?|\bFor\sinput\sstring)"
)
_LANGUAGE_MARK = rb"\xc2[\xab\xbb](?:\s|\xc2\xa0)?"
"""German and French set a key in guillemets."""

RULES: tuple[tuple[str, bytes], ...] = (
    (
        "sql_insert",
        rb"(?:(?i:\b(?:insert|replace)\s{1,9}into|\bcopy)\s{1,9}[\w.\"`\\]{1,128}|(?i:\bthen\s{1,4}insert))\s{0,9}(?P<sql_insert>\(|(?i:values))",
    ),
    ("sql_key", rb"(?:\b(?:[Kk]ey|[Ll]lave)\s{0,2}|" + _LANGUAGE_MARK + rb")(?P<sql_key>\()[^\r\n=]{1,400}\)=\("),
    ("sql_value", _UNREAD + rb"\s{0,3}:\s{0,3}(?P<sql_value>\\{0,3}\")"),
    (
        "sql_beyond",
        rb"\b[Vv]alue\s(?P<sql_beyond>\\{0,3}\")[^\"\r\n]{1,400}\"\sis\sout\sof\srange\sfor\stype",
    ),
    (
        "sql_row",
        (
            rb"(?:(?i:row\s{1,3}contains|duplicate\skey\svalue\sis|row\swith\scolumn\svalues)|Zeile enth\xc3\xa4lt|ligne en \xc3\xa9chec contient|fila que falla contiene"
            rb"|doppelte Schl\xc3\xbcsselwert ist|cl\xc3\xa9 en double est|clave duplicada es)\s{0,3}(?P<sql_row>\()"
        ),
    ),
    (
        "sql_call",
        (
            rb"(?:\b(?:CALL|EXECUTE|EXEC|PERFORM)|\{\s?(?:\?\s?=\s?)?(?i:call)|(?:\bstatement:|\bQuery)\s{1,4}(?i:call|execute|exec))\s{1,4}"
            rb"[\w.\"`\[\]]{1,128}\s{0,2}(?P<sql_call>\()"
        ),
    ),
    (
        "sql_function",
        (
            rb"(?i:\b(?:select|from|join|lateral|perform|call|execute)\s{1,4}(?:\*\s{1,4}from\s{1,4})?[\w.\"`\[\]]{0,60}"
            rb"(?:patient|person|guarantor|subscriber|demographic|practitioner|mrn|birth|_dob|ssn|surname|last_?name)[\w\"`\]]{0,60})\s{0,2}(?P<sql_function>\()"
        ),
    ),
    (
        "sql_exec",
        rb"\b(?i:exec(?:ute)?)\s{1,4}[\w.\[\]\"]{1,128}\s{1,4}(?P<sql_exec>[Nn]?'|@\w{1,60}\s?=)",
    ),
    ("sql_values", rb"\(\s{0,4}(?i:values)\s{0,4}(?P<sql_values>\()"),
    ("sql_as", rb"(?P<sql_as>')\s{1,4}(?i:as)\s{1,4}[\"`\[]?" + _COLUMN + rb"\b"),
    ("sql_entry", rb"(?:(?i:duplicate\sentry)|\b1062\s\(23000\):\s[^'\r\n]{1,40})\s(?P<sql_entry>')"),
    (
        "sql_refused",
        (
            rb"(?:(?i:(?:incorrect|invalid|illegal)\s(?:[a-z]{2,20}\s){1,2}value:)|(?i:\bn?(?:var)?char\svalue|truncated\svalue:))\s(?P<sql_refused>')"
        ),
    ),
    ("sql_rejected", rb"(?:\bon\sfield\s'[^'\r\n]{1,120}':\s)?\brejected\svalue\s(?P<sql_rejected>\[)"),
    ("sql_sent", rb"\[Parameters=(?P<sql_sent>\[)[@:]"),
    ("sql_typed", rb"(?:(?:@\w{1,60}|:p\d{1,3})\s?=\s?|(?:--\s@\w{1,60}|\bp__linq__\d{1,3}):\s)(?P<sql_typed>[Nn]?')"),
    ("sql_dup", rb"\bdup\skey:\s(?P<sql_dup>\{)"),
    ("sql_bind", rb"\$\d{1,3}\s{0,3}=\s{0,3}(?P<sql_bind>')"),
    ("sql_bound", rb"(?i:binding\s{1,3}parameter)\s{1,3}[\[(]\d{1,3}[^\r\n]{0,40}(?:-|<-)\s{0,3}(?P<sql_bound>\[)"),
    (
        "sql_list",
        (
            rb"(?:(?i:\b(?:parameters|params|bindings?|binds|args))\\{0,3}[\"']?\s{0,3}[:=]\s{0,3}"
            rb"|\[(?:generated in|cached since|no key|raw sql)[^\]\r\n]{0,40}\]\s)(?P<sql_list>[\[({])"
        ),
    ),
    ("sql_pair", rb"\[\\{0,3}\"" + _COLUMN + rb"\\{0,3}\",\s?(?P<sql_pair>\\{0,3}\")"),
    (
        "sql_condition",
        rb"\b"
        + _COLUMN
        + _TYPE
        + rb"(?:\s{0,4}[=<>!~]{1,3}\*?\s{0,4}|\s{1,4}(?i:(?:not\s{1,4})?(?:i?like|in|between|similar\s{1,4}to))\s{0,4})"
        + rb"(?:(?i:date|timestamp(?:tz)?)\s{1,3}|(?:[A-Za-z_]{1,30}\((?:(?i:array)\[)?){1,2})?"
        + rb"(?P<sql_condition>[EeNn]?'|\(|\d)",
    ),
)
