"""A secret is hidden in whatever way it is written, each vendor's token by its own form; a patient in HL7 within JSON, references, searches."""

import random
import re

import pytest

from runbooks.redaction.redactor import Redactor
from runbooks.redaction.vendors import NAMED, VENDORS, Named, Vendor
from tests.support.secrets import secrets


def redact(text: str) -> str:
    return Redactor().text(text)


VALUE = "q7Rz!m2xW"


@pytest.mark.parametrize(
    "text",
    [
        f'var dbPassword string = "{VALUE}"',
        f'password: string = "{VALUE}"',
        f"$password .= '{VALUE}'",
        f"PASSWORD ?= {VALUE}",
        f"PASSWORD :::= {VALUE}",
        f"PASSWORD ::= {VALUE}",
        f"password -> '{VALUE}'",
        f"if password == '{VALUE}':",
        f'setProperty("X_TOKEN", "{VALUE}")',
        f'os.environ.setdefault("DB_PASSWORD", "{VALUE}")',
        f"password:            {VALUE}",
        f"password            = {VALUE}",
        f"DB_PASS={VALUE}",
        f'{{"pass":"{VALUE}"}}',
        f"pw={VALUE}",
        f"curl -s -u admin:{VALUE} https://db.example.org/",
        f"curl --user 'admin:{VALUE}' https://db.example.org/",
        f"mysql -h db -uroot -p{VALUE} emr",
        f"CREATE USER emr IDENTIFIED BY '{VALUE}'",
        f"requirepass {VALUE}",
        f"sshpass -p {VALUE} ssh host",
        f"redis-cli -h cache -a {VALUE} ping",
        f'{{"auths":{{"ghcr.io":{{"auth":"{VALUE}"}}}}}}',
        f"//registry.example.org/:_auth={VALUE}",
        f"PHPSESSID={VALUE}; path=/",
        f"JSESSIONID={VALUE}",
        f"otp={VALUE}",
        f"setenv VENDOR_TOKEN {VALUE}",
        f'vendorToken||"{VALUE}"',
        f'vendorToken->"{VALUE}"',
        f"vendor.api.key={VALUE}",
        f'{{"kind":"Secret","data":{{"user":"{VALUE}"}}}}',
        f'{{"data":{{"user":"x y","user2":"{VALUE}"}},"kind":"Secret"}}',
        f'{{"stringData":{{"user":"{VALUE}"}}}}',
        f'token=""{VALUE}""',
        f"{{''password'':''{VALUE}''}}",
        f"password,{VALUE}",
        f'("API_KEY", "{VALUE}")',
        f'apikey "{VALUE}";',
        f"private_key '{VALUE}';",
        f"theapikey[] = '{VALUE}'",
        f"secret key: {VALUE}",
        f"Access Key: {VALUE}",
        f"SECRET_KEY_BASE={VALUE}",
        f"Jenkins-Crumb:{VALUE}",
        f"# {VALUE} is the password",
        f"{VALUE} is my token",
        f"the password for user 'postgres' is '{VALUE}'",
        f"Ldap password               ----   {VALUE}",
        f'new NetworkCredential("a@example.org", "{VALUE}")',
        f"requests.get(u, auth=HTTPBasicAuth('maria', '{VALUE}'))",
        f"PSEXEC 10.0.94.120 -u Administrator -p {VALUE} CMD",
        f"ldapsearch -D cn=admin -w {VALUE} -b dc=x",
        f"sqlplus scott/{VALUE}@db",
        f"keytool -storepass {VALUE}",
        f"echo {VALUE} | docker login -u bot --password-stdin",
        f'curl -u ":{VALUE}" https://x.example.org',
        f"curl --user kevin:'{VALUE}' -X GET",
        f"curl -X POST h \\\n  -u dev:{VALUE}",
        f"verification code: {VALUE}",
        f"one-time code={VALUE}",
        f"Driver={{SQL Server}};Uid=emr;Pwd={{{VALUE}}};Database=x",
        f"PWD={{p}}}};{VALUE}}};Server=x",
        f"password={{{VALUE}}}",
        f"jdbc:oracle:thin:scott/{VALUE}@db:1521/x",
        f'sqlplus -S scott/"{VALUE}"@db',
        f"impdp system/{VALUE} directory=x",
        f"sqlldr userid=scott/{VALUE}@db",
        f"app --pass {VALUE}",
        f"app --pass '{VALUE}'",
        f"rclone --sftp-pass {VALUE}",
        f"gpg --batch --passphrase {VALUE} -c x",
        f"zip -r -P {VALUE} a.zip b",
        f"unzip -P{VALUE} a.zip",
        f"7z a -p{VALUE} a.7z b",
        f"ldapsearch -w{VALUE} -b dc=x",
        f"openssl rsa -in a.pem -passin pass:{VALUE}",
        f"openssl enc -aes256 -k {VALUE} -in x",
        f"bcp emr out x -U sa -P {VALUE}",
        f"echo maria:{VALUE} | chpasswd",
        f'{{ name = "DB_PASSWORD", value = "{VALUE}" }}',
        f'{{ "name" = "DB_PASSWORD" "value" = "{VALUE}" }}',
        f'    + name  = "DB_PASS"\n    + value = "{VALUE}"',
        f"{{name: API_TOKEN, value: {VALUE}}}",
        f'  ~ password = "old12345" -> "{VALUE}"',
        f'  ~ password = null -> "{VALUE}"',
        f'  ~ DB_PASS = "old12345" -> "{VALUE}" # forces replacement',
        f'{{"plan":"password = \\"old12345\\" -> \\"{VALUE}\\""}}',
        f'last-applied: "{{\\"data\\":{{\\"user\\":\\"{VALUE}\\"}},\\"kind\\":\\"Secret\\"}}"',
    ],
)
def test_a_secret_is_hidden_however_it_is_written(text: str) -> None:
    said = redact(text)
    assert VALUE not in said
    assert "[" in said
    assert redact(said) == said


@pytest.mark.parametrize(
    "text",
    [
        "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "$1$28772684$iEwNOgGugqO9.bIz5sk8k/",
        "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM$RdescudvJCsgt3ub+b2dWRWJTmaaO8l3",
        "pbkdf2_sha256$260000$QKsXvGm0dzvS$8rN7bP3nY1mXkq4cW9vQ2tZ6sL5jH0dFgA1eR7uTyI=",
        "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$Zm9vYmFyYmF6cXV4Zm9vYmFy:YWJjZGVmZ2hpamtsbW5vcHFyc3R1",
        "md5a3556571e93b0d20722ba62be61e8c2d",
        "https://6a4059eeb5846a19556e432ec2918fa8@sentry.example.org/123",
        "https://x.webhook.office.com/webhookb2/8d1fa3bc-11d2-4e6f-9a2b-0c1d2e3f4a5b@8d1fa3bc-11d2-4e6f-9a2b-0c1d2e3f4a5b/IncomingWebhook/6a4059ee/x",
    ],
)
def test_a_secret_is_known_by_its_form(text: str) -> None:
    """A password's hash, a webhook, a key in a URL."""
    value = max(re.split(r"[ @]|://", text), key=len)
    said = redact(f"a {text} b")
    assert value[-12:] not in said
    assert redact(said) == said


def test_secrets_of_every_form_are_hidden_in_every_way() -> None:
    made = list(secrets(each=4))
    missed = [secret.text for secret in made if secret.value in redact(secret.text)]
    assert len(missed) <= 0.01 * len(made), missed


@pytest.mark.parametrize(
    "text",
    [
        "DB_PASS=482913",
        '{"db_pass": "482913"}',
        "SMTP_PW: 48291355",
        "USER_PIN=4829",
        "pin_code: 4829",
        "passcode: 4829",
        '"userPin": "4829"',
        "otp=482913",
        "otp: 4829",
        '{"otp":"482913"}',
        '{"otp": 482913}',
        "user_otp=482913",
        "GET /login?otp=482913&a=1",
    ],
)
def test_a_password_or_code_is_hidden_though_it_is_a_number(text: str) -> None:
    said = redact(text)
    assert "4829" not in said
    assert redact(said) == said


@pytest.mark.parametrize(
    "text",
    [
        "GET /callback?code=4f0AfJohXkQ2&state=1",
        "GET /x?X-Amz-Signature=4f0afe11aa12bb22cc33&a=1",
        "sig=4f&url=https://x.example/?sig=4f0AfJohXkQ2%3D",
    ],
)
def test_what_opens_a_door_in_a_url_is_hidden(text: str) -> None:
    assert "4f0" not in redact(text).replace("sig=4f&", "").lower()


@pytest.mark.parametrize(
    "text",
    [
        '127.0.0.1 - - [24/Nov/2026:10:00:00] "GET"',
        "PWD=/home/app OLDPWD=/",
        "done 236/236 200 4586",
        '"GET /x HTTP/1.1" 200 236 4586 0.031',
        '"GET /x HTTP/1.1" 200 236 200 4586',
        "Started getty@tty1.service - Getty on tty1.",
        "DR SITE is ready, MS SQL is not",
        'token || x, token->"", "data":{"user":"YWRtaW4xMg=="}',
        '"family":"IPv4"',
        "sessionid = 0x100012abf340000",
        "trace_id=4111111111111111",
        "token:\n2026-11-24 INFO start",
        '"integrity": "sha512-Zm9vYmFyMTIzNDU2Nzg5MFFX7hQ2Zm9vYmFyMTIzNDU2Nzg5MFFX7hQ2aa=="',
        "tests: pass: 120, fail: 0, skip: 3",
        "pass=120 fail=0",
        "session: started, auth: none, auth=ok",
        "process exited with exit code=137",
        "GET /x?code=404&page=2",
        "docker run -u 1000:1000 -p8080:80 image",
        "ssh -p22 host",
        "mysqld: ready for connections",
        "lat=12.345 ms, avg lat=0.123",
        "token->next is null",
        '{"display":"Body weight","code":"29463-7","system":"http://loinc.org"}',
        "city: unknown",
        "certificate issued 2026-01-03, period 5m",
        "GET /api/pods?name=backend&family=IPv4",
        "references non-existent secret key: tls.key",
        'name: backend\n"token": null, "password": ""',
        "private key: /etc/tls/private/tls.key",
        "access key: expired, API key is missing",
        "configmap,secret,backend-7c9f8d6b5-x2lqp,3",
        'fields("id", "password", "oauth2_token", "token", "s3_bucket")',
        "token,2026-11-24T11:20:00Z,v2.0.0-rc.1",
        "version v2.0.0 is the token that Kubernetes wants",
        'the message is "ok", "7 of 12" is "done"',
        "jira: 1a410efbd13591db07496601ebc7a059dd55cfe9",
        "sentry: 550e8400-e29b-41d4-a716-446655440000",
        "datadog: datadog-agent-7c9f8d6b5-x2lqp",
        "docker run -p 8080:80 -w /srv image",
        "mkdir -p /var/lib/app/cache1",
        'def cookie() -> Cookie:\n    """Return one2three of it."""',
        "backup code=0, security code: 200",
        "ssh://git-deploy-production-host@git.example.org/x",
        "pass=3 fail=1, passes: 12, first_pass=1200, test_pass: 4829, n_pass=12345",
        "pins=40 pin: 5 gpio_pin=4829 GPIO_PIN: 17 cs_pin = 1024 user_pins=4000 pin=4829",
        "DB_PASS=0 db_pass: 12",
        "--first-pass 3, --pass 3/5, ctest --pass verbose --pw 12",
        "password={password}; <Input password={this.state.password} token={token}>",
        "GET /x?password={password}",
        "password={a: 1, b: 2}",
        "password = (sensitive value)",
        "~ db_password = (sensitive value) -> (sensitive value)",
        "+ api_token = (known after apply)",
        '{ name = "LOG_LEVEL", value = "info" }',
        '{ name = "DB_PASSWORD", value = (sensitive value) }',
        '{ name = "tokens_per_minute", value = "4000x" }',
        "sqlplus / as sysdba, sqlplus /nolog",
        "jdbc:oracle:thin:@//db:1521/emr",
        "zip -r a.zip b && mkdir -P /var/lib/x9",
        "unzip -p a.zip, openssl x509 -in a.pem -noout",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text) == text


def _made(vendor: Vendor, rng: random.Random) -> str:
    """One that such a pattern finds, of random signs."""
    begins = re.sub(rb"\\b|\(\?i:", lambda hit: b"(?:" if hit.group().startswith(b"(") else b"", vendor.begins).decode()
    while (group := re.search(r"\(\?:([^()]*)\)(\?)?", begins)) is not None:
        begins = begins[: group.start()] + rng.choice(group[1].split("|")) + begins[group.end() :]
    begins = re.sub(r"\[([^\]]+)\]\{(\d+)(?:,\d+)?\}", lambda hit: _signs(hit[1], int(hit[2]), rng), begins)
    begins = re.sub(r"\[([^\]]+)\](\?)?", lambda hit: _signs(hit[1], 1, rng), begins).replace("\\", "")
    return begins + _signs(vendor.signs.decode()[1:-1], vendor.least + 3, rng)


def _signs(given: str, count: int, rng: random.Random) -> str:
    signs = re.sub(r"(\w)-(\w)", lambda span: "".join(map(chr, range(ord(span[1]), ord(span[2]) + 1))), given)
    return "".join(rng.choices([sign for sign in signs if sign.isalnum()], k=count))


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_each_vendors_token_is_known_by_its_form_alone(vendor: Vendor) -> None:
    rng = random.Random(vendor.name)
    for _ in range(20):
        token = _made(vendor, rng)
        said = redact(f"got {token} there, and x={token}")
        assert token[-vendor.least :] not in said, token
        assert said.endswith("]")


@pytest.mark.parametrize("row", NAMED, ids=lambda row: row.names.split()[0])
def test_a_token_without_a_form_of_its_own_is_known_by_its_vendors_name(row: Named) -> None:
    rng = random.Random(row.names)
    for name in row.names.split():
        for count in row.counts:
            token = "1a" + _signs(row.signs.removeprefix("s."), count - 2, rng)
            token = "s." + token[2:] if row.signs.startswith("s.") else token
            for text in (f"{name}: {token}", f'"{name.upper()}_ID": "{token}"', f"{name}-app = {token};"):
                assert token not in redact(text), text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("password=[secret 1]hunter22", "password=[secret 1][password 1]"),
        ("MRN: [mrn 1][mrn 2]4471203", "MRN: [mrn 1][mrn 2][mrn 3]"),
        ("patient [name 1]Éva Lopez", "patient [name 1][name 2]"),
        ("Dr. Lopez called", "Dr. [name 1] called"),
        ("seen by DR. LOPEZ", "seen by DR. [name 1]"),
        ("at 206-555-0143x22 now", "at [phone 1] now"),
        ("iban gb82west12345698765432", "iban [account number 1]"),
        ("card 30569309025904", "card [account number 1]"),
        (
            r'{"hl7":"PID|1||4471203^^^GEN^MR||\"\"|Berg|19570312|F|||12 Elm"}',
            r'{"hl7":"PID|1||[mrn 1]||\"\"|[name 1]|[birth date 1]|F|||[address 1]"}',
        ),
        (
            r'{"hl7":"PID|1||4471203||Lopez^Mar\"i\"a||19570312|F|||742 Elm||2065550123"}',
            r'{"hl7":"PID|1||[mrn 1]||[name 1]||[birth date 1]|F|||[address 1]||[phone 1]"}',
        ),
        (
            r'"{\"hl7\":\"PID|1||4471203||Lopez^Ana\"}"',
            r'"{\"hl7\":\"PID|1||[mrn 1]||[name 1]\"}"',
        ),
        (
            '{"reference":"Patient/88213","display":"Maria Lopez"}',
            '{"reference":"Patient/[mrn 1]","display":"[name 1]"}',
        ),
        ('"subject":{"display":"Lopez, Maria"}', '"subject":{"display":"[name 1]"}'),
        ('{"effectiveDateTime":"2026-01-03T10:00:00Z"}', '{"effectiveDateTime":"[date 1]"}'),
        ('{"issued":"2026-01-03T10:00:00Z"}', '{"issued":"[date 1]"}'),
        ('{"authoredOn":"2026-01-03"}', '{"authoredOn":"[date 1]"}'),
        ("OBR|1|||80048^BMP|||20260103101500", "OBR|1|||80048^BMP|||[date 1]"),
        ("ORC|RE||||||||20260103101500", "ORC|RE||||||||[date 1]"),
        ("PV1|1|I|W^389|R|||37^BECK^HANS|52^KIM^JO||MED", "PV1|1|I|W^389|R|||[name 1]|[name 2]||MED"),
        ("OBR|1|||80048^BMP||||||||||||12^ADE^IFE|", "OBR|1|||80048^BMP||||||||||||[name 1]|"),
        ("ORC|RE|||||||||7^ROE^ANN||12^ADE^IFE", "ORC|RE|||||||||[name 1]||[name 2]"),
        ('"period":{"start":"2026-01-03","end":"2026-01-05"}', '"period":{"start":"[date 1]","end":"[date 2]"}'),
        (
            "GET /Patient?family=lopez&given:exact=maria&birthdate=ge1957-03-12",
            "GET /Patient?family=[name 1]&given:exact=[name 2]&birthdate=ge[birth date 1]",
        ),
        ("GET /Observation?patient=88213&code=x", "GET /Observation?patient=[mrn 1]&code=x"),
        ("OBX|1|NM|x||5|||||||||20260103101500", "OBX|1|NM|x||5|||||||||[date 1]"),
        ("PV2||||||||20260103", "PV2||||||||[date 1]"),
        (
            "GT1|1||Lopez^Maria|||||||||||||Acme Corp|77 Work Rd|2065550123",
            "GT1|1||[name 1]|||||||||||||[name 2]|[address 1]|[phone 1]",
        ),
        ('"latitude":47.6062,"longitude":-122.3321', '"latitude":[address 1],"longitude":-[address 2]'),
        ('"city":"Seattle"', '"city":"[address 1]"'),
        ("92 years of age", "[age 1] years of age"),
        ("MRN:            4471203", "MRN:            [mrn 1]"),
        ("Name:            Maria Lopez", "Name:            [name 1]"),
    ],
)
def test_a_patient_is_hidden_in_what_clinical_systems_write(text: str, wanted: str) -> None:
    assert redact(text) == wanted
    assert redact(wanted) == wanted
