"""Tokens of vendors as data: a new kind is a new row. Used by `runbooks.redaction.rules` and `redaction.ways_readers`.

`VENDORS` have a form that no other text has. Each row: whose it is, how it begins (RE2), what follows, and how many signs of that at least.
Longer values go whole. `NAMED` are letters and digits of a certain number, and need the vendor's name before them.

The facts are publicly known formats, some of them as the tables of detect-secrets, Kingfisher (Apache License 2.0), Betterleaks and
Gitleaks (MIT) have them; not each was checked with its vendor.
"""

import re
from functools import cache
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
    Vendor("1Password secret key", rb"\bA3-[A-Z0-9]{6}-", rb"[A-Z0-9-]", 20),
    Vendor("Adafruit", rb"aio_", _PLAIN, 28),
    Vendor("Adobe", rb"\bp8e-", rb"[A-Za-z0-9-]", 32),
    Vendor("age", rb"AGE-SECRET-KEY-1", rb"[A-Z0-9]", 50),
    Vendor("Airtable", rb"\bpat[A-Za-z0-9]{14}\.", _HEX, 40),
    Vendor("Alibaba", rb"\bLTAI", _PLAIN, 16),
    Vendor("Amazon MWS", rb"\bamzn\.mws\.", rb"[0-9a-f-]", 36),
    Vendor("Anthropic", rb"sk-ant-", _ANY, 20),
    Vendor("Artifactory", rb"\bAKCp", _PLAIN, 20),
    Vendor("Asaas", rb"\$aact_", _ANY, 20),
    Vendor("Atlassian", rb"\bATATT3", rb"[A-Za-z0-9_=-]", 20),
    Vendor("Atlassian, Bitbucket", rb"\bATBB", _PLAIN, 24),
    Vendor("Authress", rb"\b(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.", rb"[A-Za-z0-9_.-]", 30),
    Vendor("AWS AppSync", rb"\bda2-", rb"[a-z0-9]", 26),
    Vendor("AWS Bedrock", rb"\bbedrock-api-key-", rb"[A-Za-z0-9+/=]", 20),
    Vendor("Azure client", rb"\b[A-Za-z0-9_~.]{3}[0-9]Q~", rb"[A-Za-z0-9_~.-]", 30),
    Vendor("Azure storage", rb"(?i:AccountKey=)", rb"[A-Za-z0-9+/=]", 40),
    Vendor("Bitbucket Data Center", rb"\bBBDC-", rb"[A-Za-z0-9+/=]", 30),
    Vendor("Brave", rb"\bBSA", _ANY, 27),
    Vendor("Buildkite", rb"\bbk(?:ua|at)_", _PLAIN, 32),
    Vendor("Cartesia", rb"\bsk_car_", _ANY, 16),
    Vendor("Cerebras", rb"\bcsk-", _PLAIN, 40),
    Vendor("Clojars", rb"CLOJARS_", _PLAIN, 40),
    Vendor("Cloudflare origin", rb"\bv1\.0-[0-9a-f]{24}-", _HEX, 60),
    Vendor("Cloudsmith", rb"\bcsa_", _PLAIN, 36),
    Vendor("ConfigCat", rb"\bconfigcat-sdk-1/", rb"[A-Za-z0-9_/-]", 30),
    Vendor("Contentful", rb"\bCFPAT-", _ANY, 30),
    Vendor("Databricks", rb"\bdapi", _HEX, 32),
    Vendor("Defined Networking", rb"\bdnkey-", rb"[a-z0-9=_-]", 60),
    Vendor("DevCycle", rb"\bdvc_(?:client|mobile|server)_", _ANY, 8),
    Vendor("Devin", rb"\bcog_", rb"[a-z0-9]", 40),
    Vendor("DigitalOcean", rb"\bdo[opr]_v1_", _HEX, 32),
    Vendor("Discord", rb"\b[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.", _ANY, 27),
    Vendor("Docker", rb"\bdckr_(?:pat|oat)_", _ANY, 20),
    Vendor("Docker Swarm join", rb"\bSWMTKN-1-", rb"[a-z0-9-]", 40),
    Vendor("Docker Swarm unlock", rb"\bSWMKEY-1-", rb"[A-Za-z0-9+/]", 30),
    Vendor("Doppler", rb"\bdp\.(?:pt|st|ct|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?", _PLAIN, 40),
    Vendor("Duffel", rb"\bduffel_(?:test|live)_", rb"[A-Za-z0-9_=-]", 40),
    Vendor("Dynatrace", rb"\bdt0c01\.[A-Za-z0-9]{24}\.", _PLAIN, 40),
    Vendor("EasyPost", rb"\bEZ[AT]K", _PLAIN, 50),
    Vendor("Facebook", rb"\bEAA[MC]?", _PLAIN, 80),
    Vendor("Facebook app", rb"\b[0-9]{15,16}\|", _ANY, 27),
    Vendor("Figma", rb"\bfig[du]_", _ANY, 30),
    Vendor("Flutterwave", rb"\bFLW(?:PUBK|SECK)_TEST-", rb"[A-Za-z0-9-]", 12),
    Vendor("Fly.io", rb"\bfm[12][ar]?_", rb"[A-Za-z0-9+/=_,-]", 40),
    Vendor("Fly.io, newer", rb"\bFlyV1 ", rb"[A-Za-z0-9+/=_,-]", 30),
    Vendor("Frame.io", rb"\bfio-u-", rb"[A-Za-z0-9_=-]", 40),
    Vendor("GC Notify", rb"\bgcntfy-", rb"[A-Za-z0-9-]", 60),
    Vendor("GitHub, newer", rb"\bghs_[0-9]{1,12}_", _ANY, 20),
    Vendor("GitLab", rb"\bgl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|oas|soat|ffct)-", rb"[A-Za-z0-9_.-]", 20),
    Vendor("GitLab runner", rb"\bGR1348941", _ANY, 20),
    Vendor("Google access", rb"\bya29\.", rb"[A-Za-z0-9_.-]", 20),
    Vendor("Google API", rb"\bAIza", _ANY, 30),
    Vendor("Google OAuth", rb"\bGOCSPX-", _ANY, 20),
    Vendor("Grafana", rb"\bgl(?:sa|c)_", rb"[A-Za-z0-9_+/=]", 32),
    Vendor("Groq", rb"\bgsk_", _PLAIN, 40),
    Vendor("Harness", rb"\b(?:pat|sat)\.[A-Za-z0-9_-]{22}\.[0-9a-f]{24}\.", _PLAIN, 20),
    Vendor("HashiCorp Terraform", rb"\b[A-Za-z0-9]{14}\.atlasv1\.", rb"[A-Za-z0-9_=-]", 50),
    Vendor("HashiCorp Vault", rb"\bhv[sbr]\.", _ANY, 20),
    Vendor("Heroku", rb"\bHRKU-", _ANY, 30),
    Vendor("Hugging Face", rb"\b(?:hf|api_org)_", _PLAIN, 30),
    Vendor("Infracost", rb"\bico-", _PLAIN, 32),
    Vendor("Intra42", rb"\bs-s4t2(?:ud|af)-", _HEX, 40),
    Vendor("JFrog reference", rb"\bcmVmd", _PLAIN, 40),
    Vendor("LaunchDarkly", rb"\b(?:sdk|mob|api)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-", _HEX, 12),
    Vendor("Lichess", rb"\blip_", _ANY, 16),
    Vendor("Linear", rb"\blin_(?:api|oauth)_", _PLAIN, 32),
    Vendor("Lob", rb"\b(?:live|test)_(?:pub_)?", _HEX, 31),
    Vendor("Mailchimp", rb"\b[0-9a-f]{32}-us", rb"[0-9]", 1),
    Vendor("Mailgun", rb"\b(?:pub)?key-", _HEX, 32),
    Vendor("Mapbox", rb"\bpk\.[a-z0-9]{60}\.", rb"[a-z0-9]", 22),
    Vendor("Mergify", rb"\bmergify_application_key_", _ANY, 30),
    Vendor("MessageBird, Mapbox", rb"\b[ps]k\.eyJ", rb"[A-Za-z0-9_.-]", 30),
    Vendor("Microsoft Teams webhook", rb"\.webhook\.office\.com/webhookb2/", rb"[A-Za-z0-9@/-]", 80),
    Vendor("Microsoft Teams webhook, older", rb"\boutlook\.office\.com/webhook/", rb"[A-Za-z0-9@/-]", 40),
    Vendor("New Relic", rb"\bNR(?:AK|II|JS|RA|SP)-", rb"[A-Za-z0-9-]", 19),
    Vendor("Notion", rb"\bntn_", _PLAIN, 40),
    Vendor("npm", rb"\bnpm_", _PLAIN, 30),
    Vendor("NuGet", rb"\boy2", rb"[a-z0-9]", 43),
    Vendor("NVIDIA", rb"\bnvapi-", _ANY, 40),
    Vendor("Octopus Deploy", rb"\bAPI-", rb"[A-Z0-9]", 26),
    Vendor("OneSignal", rb"\bos_v2_(?:app|org)_", rb"[a-z2-7]", 60),
    Vendor("Onfido", rb"\bapi_(?:live|sandbox)(?:_us|_ca|_eu)?\.", _ANY, 20),
    Vendor("OpenAI", rb"\bsk-(?:proj-|svcacct-|admin-)?", _ANY, 20),
    Vendor("OpenShift", rb"\bsha256~", _ANY, 40),
    Vendor("Packagist", rb"\bpackagist_[a-z]{3}_", _HEX, 20),
    Vendor("Paddle", rb"\bpdl_(?:live|sdbx)_apikey_", _ANY, 30),
    Vendor("Persona", rb"\bpersona_(?:production|sandbox)_", _ANY, 12),
    Vendor("Pinterest", rb"\bpina_", _ANY, 20),
    Vendor("Plaid", rb"\baccess-(?:sandbox|development|production)-", rb"[0-9a-f-]", 36),
    Vendor("PlanetScale", rb"\bpscale_(?:tkn|pw|oauth)_", rb"[A-Za-z0-9_.=-]", 30),
    Vendor("Polar", rb"\bpolar_[a-z]{2,4}_", _ANY, 16),
    Vendor("Postman", rb"\bPMAK-", rb"[0-9a-f-]", 40),
    Vendor("Prefect", rb"\bpn[ub]_", _PLAIN, 36),
    Vendor("Proof", rb"\bprf_", _ANY, 16),
    Vendor("Pulumi", rb"\bpul-", _HEX, 40),
    Vendor("PyPI", rb"\bpypi-", _ANY, 50),
    Vendor("ReadMe", rb"\brdme_", _PLAIN, 60),
    Vendor("Replicate", rb"\br8_", _PLAIN, 30),
    Vendor("Rootly", rb"\brootly_", _HEX, 40),
    Vendor("RubyGems", rb"\brubygems_", _HEX, 40),
    Vendor("RunPod", rb"\brpa_", _PLAIN, 30),
    Vendor("Scalingo", rb"\btk-us-", _ANY, 40),
    Vendor("SendGrid", rb"\bSG\.", rb"[A-Za-z0-9_.=-]", 20),
    Vendor("Sendinblue", rb"\bxkeysib-", rb"[0-9a-zA-Z-]", 40),
    Vendor("Sentry", rb"\bsntry[su]_", rb"[A-Za-z0-9_+/=-]", 40),
    Vendor("SettleMint", rb"\bsm_(?:aat|pat|sat)_", _PLAIN, 12),
    Vendor("Shippo", rb"\bshippo_(?:live|test)_", _HEX, 40),
    Vendor("Shopify", rb"\bshp(?:at|ca|pa|ss)_", rb"[0-9a-fA-F]", 32),
    Vendor("SonarQube", rb"\bsq[upa]_", _HEX, 40),
    Vendor("Sourcegraph", rb"\bsgp_", rb"[A-Za-z0-9_-]", 40),
    Vendor("Square", rb"\b(?:sq0(?:csp|atp|idp)-|EAAA)", _ANY, 22),
    Vendor("Stripe", rb"\b(?:sk|rk|pk)_(?:live|test|prod)_", _PLAIN, 10),
    Vendor("Stripe webhook", rb"\bwhsec_", rb"[A-Za-z0-9+/=]", 20),
    Vendor("Supabase", rb"\bsb(?:p|_secret)_", _ANY, 20),
    Vendor("Tailscale", rb"\btskey-[a-z]{2,12}-", _ANY, 16),
    Vendor("Telegram", rb"\b[0-9]{8,10}:AA", _ANY, 33),
    Vendor("Thunderstore", rb"\btss_", _ANY, 16),
    Vendor("Twilio", rb"\b(?:AC|SK)", _HEX, 32),
    Vendor("Typeform", rb"\btfp_", rb"[A-Za-z0-9_.=-]", 40),
    Vendor("UpCloud", rb"\bucat_", _PLAIN, 20),
    Vendor("Val Town", rb"\bvtwn_", _ANY, 16),
    Vendor("Vercel", rb"\bvc[pkria]_", _PLAIN, 24),
    Vendor("WakaTime", rb"\bwaka_", _ANY, 30),
    Vendor("Yandex", rb"\bAQVN", _ANY, 35),
    Vendor("Yandex cloud", rb"\bt1\.", rb"[A-Za-z0-9_=.-]", 60),
    Vendor("Zapier webhook", rb"\bhooks\.zapier\.com/hooks/catch/[0-9]{1,12}/", _PLAIN, 6),
    Vendor("Zuplo", rb"\bzpka_", _ANY, 30),
)
SOURCE = rb"(?P<vendor>" + b"|".join(rb"%s%s{%d}" % (each.begins, each.signs, each.least) for each in VENDORS) + rb")"


class Named(NamedTuple):
    """Tokens that one needs the vendor's name for."""

    names: str
    signs: str
    counts: tuple[int, ...]


_LOWER = "a-z0-9"
_LOWER_URL = "a-z0-9=_-"
NAMED = (
    Named("adafruit", _LOWER_URL, (32,)),
    Named("adobe facebook finicity linear", "a-f0-9", (32,)),
    Named("airtable", _LOWER, (17,)),
    Named("algolia asana bittrex codecov droneci flickr privateai private_ai private-ai", _LOWER, (32,)),
    Named("alibaba twitch plaid", _LOWER, (30,)),
    Named("atlassian confluence jira etsy looker plaid kucoin", _LOWER, (24,)),
    Named("beamer", _LOWER_URL, (46,)),
    Named("bitbucket", _LOWER_URL, (32, 64)),
    Named("cloudflare", _LOWER_URL, (37, 40)),
    Named("coinbase", _LOWER_URL, (64,)),
    Named("confluent", _LOWER, (16, 64)),
    Named("contentful", _LOWER_URL, (43,)),
    Named("datadog zendesk", _LOWER, (40,)),
    Named("datadog sendbird meraki", "a-f0-9", (32, 40)),
    Named("discord", _LOWER_URL, (32, 64)),
    Named("dropbox", "a-z0-9=_.-", (15, 64, 138)),
    Named("fastly nytimes newyorktimes", _LOWER_URL, (32,)),
    Named("finicity finnhub looker", _LOWER, (20,)),
    Named("freshbooks jfrog artifactory bintray xray sumo sumologic newrelic new_relic new-relic", _LOWER, (64, 73)),
    Named("gitter launchdarkly sonar", _LOWER_URL, (40,)),
    Named("intercom", _LOWER_URL, (60,)),
    Named("kraken", "a-z0-9/=_+-", (80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90)),
    Named("linkedin linked-in linked_in", _LOWER, (14, 16)),
    Named("mailgun", "a-h0-9-", (50,)),
    Named("mattermost", _LOWER, (26,)),
    Named("messagebird message_bird message-bird", _LOWER, (25,)),
    Named("netlify", _LOWER_URL, (40, 41, 42, 43, 44, 45, 46)),
    Named("okta", "A-Za-z0-9_=-", (42,)),
    Named("rapidapi", _LOWER_URL, (50,)),
    Named("sentry", "a-f0-9", (64,)),
    Named("sumo sumologic", _LOWER, (14,)),
    Named("travis travisci", _LOWER, (22,)),
    Named("twitter", _LOWER, (25, 45, 50)),
    Named("vault", "s.A-Za-z0-9", (26,)),
)
VENDOR_NAMES = "|".join(
    sorted({name for row in NAMED for name in row.names.split()}, key=lambda name: (-len(name), name))
).encode()


@cache
def _tokens() -> dict[bytes, re.Pattern[bytes]]:
    """What the tokens of each vendor in `NAMED` look like."""
    forms: dict[bytes, list[str]] = {}
    for row in NAMED:
        for name in row.names.split():
            forms.setdefault(name.encode(), []).extend(f"[{row.signs}]{{{count}}}" for count in row.counts)
    return {name: re.compile("|".join(each).encode(), re.IGNORECASE) for name, each in forms.items()}


def is_token_of(vendor: bytes, value: bytes) -> bool:
    """Whether the vendor's tokens look like this; a word of letters alone is none."""
    form = _tokens().get(vendor)
    return form is not None and form.fullmatch(value) is not None and not value.isalpha()
