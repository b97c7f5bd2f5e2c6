"""Secrets in all the ways in which they are written down, made with a seed: for recall of secrets, by way and by form.

The ways are those of configuration files, programming languages, command lines and sentences; the forms those that vendors give out. All random.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

WAYS = {
    "INI": '{name}Token="{value}"',
    "INI, blanks": '{name}Token = "{value}"',
    "INI, bare": "{name}Token={value}",
    "INI, aligned": "{name}_token            = {value}",
    "JSON": '{{\n    "{name}_token": "{value}"\n}}',
    "JSON in JSON": '{{"log":"{{\\"{name}_token\\": \\"{value}\\"}}"}}',
    "JSON, name and value": '{{\n    "name": "{name}_token",\n    "value": "{value}"\n}}',
    "CSV in JSON": 'x,"{{""{name}_token"":""{value}""}}",y',
    "XML": "<{name}Token>{value}</{name}Token>",
    "XML, own line": "<{name}Token>\n    {value}\n</{name}Token>",
    "XML attribute": '<add key="{name}Token" value="{value}" />',
    "YAML": "{name}_token: {value}",
    "YAML, literal": "{name}_token: |\n  {value}",
    "YAML, folded": "{name}_token: >\n  {value}",
    "Go": 'var {name}Token string = "{value}"',
    "Go, short": "{name}Token := `{value}`",
    "Java": 'String {name}Token = "{value}";',
    "Kotlin": 'var {name}Token: string = "{value}"',
    "PHP, appended": '${name}Token .= "{value}"',
    "PHP, coalesced": '${name}Token ??= "{value}"',
    "Ruby": "{name}_token ||= '{value}'",
    "Objective-C": '{name}Token = @"{value}"',
    "Perl": '"{name}Token" => "{value}"',
    "an array": '{name}Token[] = "{value}"',
    "make": "{name}_TOKEN :::= {value}",
    "make, conditional": "{name}_TOKEN ?= {value}",
    "a call": 'setProperty("{name}_token", "{value}")',
    "CSV": "{name}Token,{value},",
    "environment": "export {name}_API_KEY={value}",
    "two words": "{name} API key: {value}",
    "Rails": "SECRET_KEY_BASE={value}",
    "a header": "X-{name}-Token: {value}",
    "curl": 'curl -H "Authorization: Token {value}" https://api.example.org',
    "curl, user": 'curl -s \\\n  -u "{value}:" https://api.example.org',
    "a URL": "https://api.example.org/?{name}_token={value}&x=1",
    "a registry": "docker login -u bot -p {value} ghcr.io",
    "kubectl": "kubectl create secret generic {name} --from-literal=first={value}",
    "told": "the {name} API key is {value}",
    "said before": "#{value} is the password",
}
"""By name, with `{name}` for whose it is."""
FORMS = {
    "letters and digits": ("abcdefghijklmnopqrstuvwxyz0123456789", (24, 32, 40)),
    "hexadecimal": ("0123456789abcdef", (32, 40, 64)),
    "mixed case": ("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", (20, 36, 48)),
    "base64url": ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", (22, 43)),
}
"""Signs and lengths."""
_VENDORS = ("adafruit", "datadog", "okta", "Sentry", "mailgun", "vendor")


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret in one way."""

    way: str
    text: str
    value: str


def secrets(seed: int = 1, *, each: int) -> Iterator[Secret]:
    """Yield `each` secrets of every form in every way."""
    rng = random.Random(seed)
    for way, template in WAYS.items():
        for signs, lengths in FORMS.values():
            for _ in range(each):
                value = "".join(rng.choices(signs, k=rng.choice(lengths)))
                yield Secret(way, template.format(name=rng.choice(_VENDORS), value=value), value)
