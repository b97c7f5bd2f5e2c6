"""Tokens that vendors give a form of their own, as data: a new kind is a new row. Used by `runbooks.redaction.rules`.

Each row: whose it is, how it begins (RE2), what follows, and how many signs of that at least. Longer values go whole. The facts are
publicly known formats, some of them as the tables of detect-secrets have them (Apache License 2.0); not each was checked with its vendor.
"""

from typing import NamedTuple

_ANY = rb"[A-Za-z0-9_-]"
_PLAIN = rb"[A-Za-z0-9]"
_HEX = rb"[0-9a-f]"


class Vendor(NamedTuple):
    """One vendor's token."""

    name: str
    begins: bytes
    signs: bytes
    least: int


VENDORS = (
    Vendor("1Password", rb"ops_eyJ", _ANY, 20),
    Vendor("Adafruit", rb"aio_", _PLAIN, 28),
    Vendor("age", rb"AGE-SECRET-KEY-1", rb"[A-Z0-9]", 50),
    Vendor("Airtable", rb"\bpat[A-Za-z0-9]{14}\.", _HEX, 40),
    Vendor("Alibaba", rb"\bLTAI", _PLAIN, 16),
    Vendor("Anthropic", rb"sk-ant-", _ANY, 20),
    Vendor("Artifactory", rb"\bAKCp", _PLAIN, 20),
    Vendor("Atlassian", rb"\bATATT3", rb"[A-Za-z0-9_=-]", 20),
    Vendor("Atlassian, Bitbucket", rb"\bATBB", _PLAIN, 24),
    Vendor("Azure storage", rb"(?i:AccountKey=)", rb"[A-Za-z0-9+/=]", 40),
    Vendor("Azure client", rb"\b[A-Za-z0-9_~.]{3}[78]Q~", rb"[A-Za-z0-9_~.-]", 30),
    Vendor("Buildkite", rb"\bbk(?:ua|at)_", _HEX, 32),
    Vendor("Clojars", rb"CLOJARS_", _PLAIN, 40),
    Vendor("Contentful", rb"\bCFPAT-", _ANY, 30),
    Vendor("Databricks", rb"\bdapi", _HEX, 32),
    Vendor("DigitalOcean", rb"\bdo[opr]_v1_", _HEX, 32),
    Vendor("Discord", rb"\b[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.", _ANY, 27),
    Vendor("Docker", rb"\bdckr_(?:pat|oat)_", _ANY, 20),
    Vendor("Doppler", rb"\bdp\.(?:pt|st|ct|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?", _PLAIN, 40),
    Vendor("Duffel", rb"\bduffel_(?:test|live)_", _ANY, 40),
    Vendor("Dynatrace", rb"\bdt0c01\.[A-Z0-9]{24}\.", rb"[A-Z0-9]", 40),
    Vendor("EasyPost", rb"\bEZ[AT]K", _PLAIN, 50),
    Vendor("Facebook", rb"\bEAA[MC]?", _PLAIN, 80),
    Vendor("Figma", rb"\bfig[du]_", _ANY, 30),
    Vendor("Flutterwave", rb"\bFLW(?:PUBK|SECK)_TEST-", rb"[A-Za-z0-9-]", 12),
    Vendor("Fly.io", rb"\bfm[12][ar]?_", rb"[A-Za-z0-9+/=_,-]", 40),
    Vendor("Frame.io", rb"\bfio-u-", rb"[A-Za-z0-9_=-]", 40),
    Vendor("GitHub, newer", rb"\bghs_[0-9]{1,12}_", _ANY, 20),
    Vendor("GitLab", rb"\bgl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|oas|soat|ffct)-", rb"[A-Za-z0-9_.-]", 20),
    Vendor("GitLab runner", rb"\bGR1348941", _ANY, 20),
    Vendor("Google API", rb"\bAIza", _ANY, 30),
    Vendor("Google OAuth", rb"\bGOCSPX-", _ANY, 20),
    Vendor("Google access", rb"\bya29\.", rb"[A-Za-z0-9_.-]", 20),
    Vendor("Grafana", rb"\bgl(?:sa|c)_", rb"[A-Za-z0-9_+/=]", 32),
    Vendor("HashiCorp Terraform", rb"\b[A-Za-z0-9]{14}\.atlasv1\.", rb"[A-Za-z0-9_=-]", 50),
    Vendor("HashiCorp Vault", rb"\bhv[sbr]\.", _ANY, 20),
    Vendor("Heroku", rb"\bHRKU-", _ANY, 30),
    Vendor("Hugging Face", rb"\b(?:hf|api_org)_", _PLAIN, 30),
    Vendor("Infracost", rb"\bico-", _PLAIN, 32),
    Vendor("Intra42", rb"\bs-s4t2(?:ud|af)-", _HEX, 40),
    Vendor("JFrog reference", rb"\bcmVmd", _PLAIN, 40),
    Vendor("LaunchDarkly", rb"\b(?:sdk|mob|api)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-", _HEX, 12),
    Vendor("Linear", rb"\blin_(?:api|oauth)_", _PLAIN, 32),
    Vendor("Mailchimp", rb"\b[0-9a-f]{32}-us", rb"[0-9]", 1),
    Vendor("Mailgun", rb"\b(?:pub)?key-", _HEX, 32),
    Vendor("MessageBird, Mapbox", rb"\b[ps]k\.eyJ", rb"[A-Za-z0-9_.-]", 30),
    Vendor("New Relic", rb"\bNR(?:AK|II|JS|RA|SP)-", rb"[A-Za-z0-9-]", 19),
    Vendor("Notion", rb"\bntn_", _PLAIN, 40),
    Vendor("npm", rb"\bnpm_", _PLAIN, 30),
    Vendor("NuGet", rb"\boy2", rb"[a-z0-9]", 43),
    Vendor("OpenAI", rb"\bsk-(?:proj-|svcacct-|admin-)?", _ANY, 20),
    Vendor("OpenShift", rb"\bsha256~", _ANY, 40),
    Vendor("PlanetScale", rb"\bpscale_(?:tkn|pw|oauth)_", rb"[A-Za-z0-9_.=-]", 30),
    Vendor("Postman", rb"\bPMAK-", rb"[0-9a-f-]", 40),
    Vendor("Prefect", rb"\bpn[ub]_", _PLAIN, 36),
    Vendor("Pulumi", rb"\bpul-", _HEX, 40),
    Vendor("PyPI", rb"\bpypi-", _ANY, 50),
    Vendor("ReadMe", rb"\brdme_", _PLAIN, 60),
    Vendor("Replicate", rb"\br8_", _PLAIN, 30),
    Vendor("RubyGems", rb"\brubygems_", _HEX, 40),
    Vendor("Scalingo", rb"\btk-us-", _ANY, 40),
    Vendor("SendGrid", rb"\bSG\.", rb"[A-Za-z0-9_.-]", 20),
    Vendor("Sendinblue", rb"\bxkeysib-", rb"[0-9a-zA-Z-]", 40),
    Vendor("Sentry", rb"\bsntry[su]_", rb"[A-Za-z0-9_+/=-]", 40),
    Vendor("Shippo", rb"\bshippo_(?:live|test)_", _HEX, 40),
    Vendor("Shopify", rb"\bshp(?:at|ca|pa|ss)_", rb"[0-9a-fA-F]", 32),
    Vendor("SonarQube", rb"\bsq[upa]_", _HEX, 40),
    Vendor("Sourcegraph", rb"\bsgp_", rb"[A-Za-z0-9_-]", 40),
    Vendor("Square", rb"\b(?:sq0(?:csp|atp|idp)-|EAAA)", _ANY, 22),
    Vendor("Stripe", rb"\b(?:sk|rk|pk)_(?:live|test|prod)_", _PLAIN, 10),
    Vendor("Stripe webhook", rb"\bwhsec_", rb"[A-Za-z0-9+/=]", 20),
    Vendor("Supabase", rb"\bsb(?:p|_secret)_", _ANY, 20),
    Vendor("Tailscale", rb"\btskey-[a-z]{2,12}-", rb"[A-Za-z0-9-]", 16),
    Vendor("Telegram", rb"\b[0-9]{8,10}:AA", _ANY, 33),
    Vendor("Twilio", rb"\b(?:AC|SK)", _HEX, 32),
    Vendor("Typeform", rb"\btfp_", rb"[A-Za-z0-9_.=-]", 40),
    Vendor("Vercel", rb"\bvc[pkria]_", _PLAIN, 24),
    Vendor("Yandex", rb"\bAQVN", _ANY, 35),
    Vendor("Yandex cloud", rb"\bt1\.", rb"[A-Za-z0-9_=.-]", 60),
)
SOURCE = rb"(?P<vendor>" + b"|".join(rb"%s%s{%d}" % (each.begins, each.signs, each.least) for each in VENDORS) + rb")"
