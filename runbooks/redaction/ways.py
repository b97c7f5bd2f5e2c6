"""Other ways in which a secret is written down: short names, calls, command lines, statements. Used by `runbooks.redaction.rules`."""

from runbooks.redaction.pieces import ASSIGN

_CALLED = rb"(?i:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)(?i:[_-]?(?:key|id|value))?"

RULES: tuple[tuple[str, bytes], ...] = (
    (
        "short",
        rb"(?:\b|_)(?i:pass|pw|_?auth|otp|phpsessid|jsessionid|asp\.net_sessionid|connect\.sid|session|sessid|csrf|xsrf|x-amz-(?:signature|security-token)|masterauth)"
        rb"(?P<short>" + ASSIGN + rb")",
    ),
    ("called", rb"\(\s?\\{0,3}[\"'][\w.-]{0,40}" + _CALLED + rb"\\{0,3}[\"']\s{0,3},\s{0,3}(?P<called>\\{0,3}[\"'])"),
    ("user_password", rb"\s(?:-u|--user)[ =]{0,3}[\"']?[^\s:\"'/]{1,64}:(?P<user_password>[^\s\"']{1,128})"),
    ("set", rb"\b(?:setenv|SetEnv|setx)\s{1,4}[\w.-]{0,60}" + _CALLED + rb"\s{1,8}(?P<set>[^\s]{1,256})"),
    ("glued", rb"\s-p(?P<glued>[^\s-][^\s]{0,127})"),
    (
        "stated",
        (
            rb"(?:(?i:identified\s{1,3}by(?:\s{1,3}password)?|\bencrypted\s{1,3}password)\s{1,3}|\b(?:requirepass|masterauth)[ ]{1,20}|\bsshpass\s{1,3}-p\s{0,3}"
            rb"|redis-cli[^|\r\n]{0,60}\s-a\s{1,3})(?P<stated>[^\s;]{1,128})"
        ),
    ),
    (
        "query",
        rb"[?&](?i:code|sig|otp|ticket|id_token_hint|x-amz-signature|x-goog-signature)(?:=|%3[Dd])(?P<query>[A-Za-z0-9._~%+/=-]{6,512})",
    ),
)
