"""Other ways in which a secret is written down: short names, calls, command lines, statements. Used by `runbooks.redaction.rules`."""

from runbooks.redaction.pieces import ASSIGN
from runbooks.redaction.vendors import VENDOR_NAMES

_CALLED = rb"(?i:pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access|private)[_-]?key|credentials?)(?i:[_-]?(?:key|id|value))?"
_FEW_WORDS = rb"(?:[_. -]?(?i:api|app|auth|oauth|client|account|service|server|bot|login|key|id|prod|production|live|test|dev|staging)){0,3}"
_QUOTED = rb"\\{0,3}[\"']"

PAIRED: tuple[str, bytes] = (
    "paired",
    (
        rb"\b(?:name|key)\\{0,3}\"?\s{0,60}[=:]\s{0,3}\\{0,3}\"?[\w.-]{0,60}(?i:pass|pwd|secret|token|key|cred)[\w.-]{0,20}\\{0,3}\"?[\s,+~-]{1,60}"
        rb"\\{0,3}\"?value(?P<paired>\\{0,3}\"?\s{0,60}[=:])"
    ),
)
"""Stands before the rules of names: `name = "DB_PASSWORD", value = …` names a secret."""

RULES: tuple[tuple[str, bytes], ...] = (
    (
        "arguments",
        (
            rb"(?:\bauth\s?=\s?)?(?i:NetworkCredential|PasswordCredentials?|UsernamePassword(?:Credential|Token|AuthenticationToken)s?|PasswordAuthentication|DirectoryEntry"
            rb"|HTTP(?:Basic|Digest)Auth|Basic(?:AWS)?(?:Credentials|Auth))\s?\(\s{0,3}(?P<arguments>[\"'][^()\r\n]{0,256}[\"']\s{0,3},\s{0,3}[\"'][^()\r\n]{1,256}[\"'])"
        ),
    ),
    (
        "short",
        rb"(?:\b|_)(?i:pass|pw|_?auth|otp|phpsessid|jsessionid|asp\.net_sessionid|connect\.sid|session|sessid|csrf|xsrf|x-amz-(?:signature|security-token)|masterauth)"
        rb"(?P<short>" + ASSIGN + rb")",
    ),
    ("called", rb"\(\s?\\{0,3}[\"'][\w.-]{0,40}" + _CALLED + rb"\\{0,3}[\"']\s{0,3},\s{0,3}(?P<called>\\{0,3}[\"'])"),
    (
        "user_password",
        rb"\s(?:-u|--user)[ =]{0,3}[\"']?[^\s:\"'/]{0,64}[\"']?:[\"']?(?P<user_password>[^\s\"']{1,128})",
    ),
    ("user_token", rb"\s(?:-u|--user)[ =]{0,3}[\"']?(?P<user_token>[^\s:\"'/]{8,128}):[\"'\s]"),
    ("set", rb"\b(?:setenv|SetEnv|setx)\s{1,4}[\w.-]{0,60}" + _CALLED + rb"\s{1,8}(?P<set>[^\s]{1,256})"),
    ("glued", rb"\s-p(?P<glued>[^\s-][^\s]{0,127})"),
    ("given", rb"\s-(?:p|P|w)\s{1,3}[\"']?(?P<given>[^\s\"'-][^\s\"']{0,127})"),
    ("option", rb"\s-(?i:(?:src|dest)?(?:store|key)pass)\s{1,3}[\"']?(?P<option>[^\s\"'-][^\s\"']{0,127})"),
    (
        "stated",
        (
            rb"(?:(?i:identified\s{1,3}by(?:\s{1,3}password)?|\bencrypted\s{1,3}password)\s{1,3}|\b(?:requirepass|masterauth)[ ]{1,20}|\bsshpass\s{1,3}-p\s{0,3}"
            rb"|redis-cli[^|\r\n]{0,60}\s-a\s{1,3}|\b(?:un)?zip[^|;&\r\n]{0,60}\s-P\s{0,3}|\b7z[ar]?(?:\s[^|;&\r\n]{0,60})?\s-p|\bldap[a-z]{3,10}(?:\s[^|;&\r\n]{0,60})?\s-w"
            rb"|\bopenssl\s{1,3}enc[^|;&\r\n]{0,60}\s-k\s{1,3})(?P<stated>[^\s;]{1,128})"
        ),
    ),
    (
        "oracle",
        (
            rb"(?:\bjdbc:oracle:\w{2,5}:|\b(?:sqlplus|sqlldr|expdp|impdp|rman)\s{1,3}(?:-\w{1,8}\s{1,3}){0,3}(?:userid=|target\s{1,3})?|\b(?:exp|imp)\s{1,3}userid=)"
            rb"[\w.$#]{1,64}/(?P<oracle>\"[^\"\s]{1,128}\"|[^\s;@\"'/][^\s;@\"']{0,127})"
        ),
    ),
    (
        "query",
        rb"[?&](?i:code|sig|otp|ticket|id_token_hint|x-amz-signature|x-goog-signature)(?:=|%3[Dd])(?P<query>[A-Za-z0-9._~%+/=-]{6,512})",
    ),
    ("literal", rb"--from-literal[= ][\"']?[\w.-]{1,100}=(?P<literal>[^\s]{1,256})"),
    (
        "piped",
        rb"\becho\s{1,3}(?:-n\s{1,3})?[\"']?(?P<piped>[^\s\"'|$]{4,256})[\"']?\s{0,3}\|[^|\r\n]{0,80}(?:--password-stdin|chpasswd)",
    ),
    (
        "listed",
        _CALLED
        + rb"(?:"
        + _QUOTED
        + rb"\s{0,3},\s{0,3}|,)(?P<listed>[\"'\\]{1,6}[A-Za-z0-9!#$%^&*@_+=~./-]{8,256}[\"'\\]|[A-Za-z0-9!#$%^&*@_+=~.-]{8,256})",
    ),
    (
        "noted",
        rb"(?i:(?:api|access|private|encryption)[_-]?key|pass(?:phrase|code))\w{0,20}\s{1,3}(?P<noted>"
        + _QUOTED
        + rb")",
    ),
    (
        "told",
        rb"(?i:(?:api|access|secret|private|encryption)[ _-]?key|(?:api|access|auth|bearer)[ _-]token)\s{1,3}(?i:is|was)\s{1,3}[\"']?(?P<told>[^\s\"']{8,256})",
    ),
    (
        "before",
        (
            rb"(?P<before>[\"'`]?\s{1,2}(?i:is|was)\s{1,2}(?i:the|my|our|your|his|her|their|a)\s{1,2}"
            rb"(?i:(?:\w{1,20}\s{1,2})?(?:password|passphrase|passwd|(?:api|access|secret)[ _-]?(?:key|token)|(?:auth|bearer)[ _-]token|token|secret)))\b"
        ),
    ),
    ("quoted_is", rb"[\"']\s(?i:is|was|to)\s(?P<quoted_is>[\"'])"),
    (
        "hash",
        (
            rb"(?P<hash>\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|\$(?:1|5|6|7|8|9|y|gy|apr1)\$(?:rounds=\d{1,9}\$)?[./A-Za-z0-9]{1,32}\$[./A-Za-z0-9]{20,128}"
            rb"|\$argon2(?:id|i|d)\$[A-Za-z0-9+/=,$]{20,256}|\bpbkdf2_sha(?:1|256|512)\$\d{1,9}\$[^\s$\"']{1,64}\$[A-Za-z0-9+/=]{20,128}"
            rb"|\bSCRAM-SHA-(?:1|256|512)\$\d{1,9}:[A-Za-z0-9+/=]{4,64}\$[A-Za-z0-9+/=]{20,128}:[A-Za-z0-9+/=]{20,128}|\bmd5[0-9a-f]{32}\b)"
        ),
    ),
    ("url_token", rb"://(?P<url_token>[A-Za-z0-9_-]{20,256})@"),
    (
        "named",
        rb"(?i:" + VENDOR_NAMES + rb")" + _FEW_WORDS + ASSIGN + rb"[\s\"'`\\=]{0,6}(?P<named>[A-Za-z0-9=_/+.-]{14})",
    ),
    (
        "once",
        rb"(?:(?i:(?:verification|recovery|security|one[ -]?time|mfa|2fa|totp)[ _-]?(?:code|pin))|(?i:(?:user|card|account|login|patient|customer|portal|sim)[ _-]?pin|\bpin[ _-]?code))(?P<once>"
        + ASSIGN
        + rb")",
    ),
)
