"""The configuration: what does not fit together is refused with a sentence that names the place, and secrets never show."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bot.app import _secrets
from bot.config import ConfigurationError, Settings, default_path, load, validate
from bot.config.sections import SLACK_API
from tests.support.thresholds import configuration

Change = Callable[[dict[str, Any]], object]
BOT_TOKEN, APP_TOKEN = "xoxb-hunter2-bot", "xapp-hunter2-app"


@pytest.fixture(autouse=True)
def _no_variables() -> Iterator[None]:
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("OMNICARE_")]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def refused(change: Change) -> str:
    raw = configuration()
    change(raw)
    with pytest.raises(ConfigurationError) as error:
        validate(raw)
    return str(error.value)


def production(raw: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = raw["environments"]["production"]
    return found


def test_the_configuration_of_these_tests_is_good() -> None:
    settings = validate(configuration())
    assert list(settings.environments) == ["production", "staging"]
    assert settings.environment("production").services[0].deployment == "backend"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["people"]["requester"].update(roles=["chief"]), "people.requester: there is no role `chief`"),
        (
            lambda r: production(r).update(database={"primary": "db", "name": "emr", "tls": "disable"}),
            "environments.production.database.tls: TLS can be turned off in a sandbox only",
        ),
        (
            lambda r: (
                r["bot"].update(sandbox=True),
                production(r).update(database={"primary": "db.internal:5432", "name": "emr"}),
            ),
            "environments.production.database: a sandbox may only connect to 127.0.0.1",
        ),
        (
            lambda r: production(r).update(database={"primary": "db", "name": "emr", "reader": "replica"}),
            "environments.production.database: reader: `replica` is not set",
        ),
        (
            lambda r: production(r).update(database={"primary": "db", "name": "emr", "password": "hunter2"}),
            "environments.production.database.password: there is no such setting; did you mean",
        ),
        (
            lambda r: production(r).update(cdn={"distribution": "E2EXAMPLE1ABCD", "endpoint": "http://aws.internal"}),
            "environments.production.cdn.endpoint: the address must begin with https://",
        ),
        (
            lambda r: (
                r["bot"].update(sandbox=True),
                production(r).update(cdn={"distribution": "E2EXAMPLE1ABCD"}),
            ),
            "environments.production.cdn.endpoint: a sandbox may only connect to 127.0.0.1",
        ),
        (
            lambda r: production(r).update(cdn={"distribution": "E2EXAMPLE1ABCD", "paths": ["index.html"]}),
            "environments.production.cdn.paths: a path must begin with `/`",
        ),
        (
            lambda r: [each.update(cdn={"distribution": "E2EXAMPLE1ABCD"}) for each in r["environments"].values()],
            "cdn.distribution: production has the same distribution",
        ),
        (
            lambda r: production(r).update(backups={"instance": "omnicare-prod", "endpoint": "http://aws.internal"}),
            "environments.production.backups.endpoint: the address must begin with https://",
        ),
        (
            lambda r: production(r).update(gates={"backups": ["snapshot"]}),
            "environments.production.gates.backups: it needs the table `environments.production.backups`",
        ),
        (
            lambda r: production(r).update(backups={"instance": "omnicare-prod", "prefix": "config/"}),
            "environments.production.backups: prefix: a prefix needs a `bucket`",
        ),
        (
            lambda r: production(r).update(
                verification={"prometheus": {"url": "http://a.example", "secret_file": "/x"}}
            ),
            "environments.production.verification.prometheus.url: with a password or a token the address must begin with https://",
        ),
        (
            lambda r: production(r).update(verification={"service": "worker"}),
            "environments.production.verification.service: there is no service `worker`",
        ),
        (
            lambda r: production(r).update(verification={"alertmanager": {"url": "http://a:b@c.example"}}),
            "environments.production.verification.alertmanager.url: must be an http or https address without a password",
        ),
        (
            lambda r: r["roles"].update(someone={"about": "x", "shift": True}),
            "roles.someone.shift: shifts come from a Slack user group",
        ),
        (
            lambda r: r["people"]["second"].update(slack="U1REQUESTER"),
            "people.second: U1REQUESTER is already requester's account",
        ),
        (lambda r: r["people"]["second"].update(others=["U2APPROVER"]), "U2APPROVER is already approver's account"),
        (lambda r: r["people"]["second"].update(others=["U4SECOND"]), "U4SECOND is already second's account"),
        (
            lambda r: r["people"]["second"].update(user="daemon"),
            "people.second: user daemon is already requester's account",
        ),
        (lambda r: r["people"]["second"].update(user="root"), "people.second.user: root is not a personal account"),
        (lambda r: r["people"].update({"Maya": {"name": "Maya"}}), "people.Maya"),
        (lambda r: r["people"].update({"../x": {"name": "x"}}), "people.../x"),
        (
            lambda r: r["people"]["second"].update(admin=True),
            "people.second.admin: there is no such setting; the settings here are `name`, `slack`, ",
        ),
        (lambda r: r["people"]["second"].pop("name"), "people.second.name: this setting is required"),
        (
            lambda r: production(r)["permissions"].update({"lock:write": ["chief"]}),
            "environments.production.permissions.lock:write: there is no role `chief`",
        ),
        (
            lambda r: production(r)["approval"]["disruptive"].update(count=0),
            "environments.production.approval.disruptive: count must be at least 1",
        ),
        (
            lambda r: production(r)["approval"].update(destructive={"count": 1, "permission": "rollout:approve"}),
            "environments.production.approval.destructive: count must be at least 2",
        ),
        (
            lambda r: production(r).update(gates={"override_role": "chief"}),
            "environments.production.gates.override_role: there is no role `chief`",
        ),
        (
            lambda r: production(r)["approval"]["disruptive"].update(one_of_role="chief"),
            "environments.production.approval.disruptive: there is no role `chief`",
        ),
        (
            lambda r: production(r)["approval"]["disruptive"].update(own=True),
            "environments.production.approval.disruptive: requesters can't approve their own requests",
        ),
        (
            lambda r: production(r)["going_back"].update(count=0),
            "environments.production.going_back: count must be at least 1",
        ),
        (lambda r: production(r)["approval"].update({"careless": {}}), "environments.production.approval.careless"),
        (
            lambda r: production(r)["approval"]["disruptive"].update(expires_seconds=0),
            "environments.production.approval.disruptive.expires_seconds",
        ),
        (
            lambda r: production(r)["approval"]["disruptive"].update(expires_seconds=float("inf")),
            "environments.production.approval.disruptive.expires_seconds",
        ),
        (
            lambda r: production(r)["services"].append(dict(production(r)["services"][0])),
            "environments.production.services: two services have the same name",
        ),
        (lambda r: production(r).update(services=[]), "environments.production.services"),
        (
            lambda r: r["environments"]["staging"].update(namespace="omnicare-production"),
            "environments.staging.services.backend: environments.production has the same Deployment",
        ),
        (lambda r: r["environments"].update({"prod uction": production(r)}), "environments.prod uction"),
        (lambda r: r["environments"].update({"production\n": production(r)}), "environments.production\n"),
        (lambda r: r["environments"].update({"prod.deploy": production(r)}), "environments.prod.deploy"),
        (lambda r: r["environments"].update({"--env": production(r)}), "environments.--env"),
        (lambda r: r["environments"].update({"prоd": production(r)}), "environments.prоd"),  # noqa: RUF001 - Cyrillic
        (lambda r: r["environments"].update({"a" * 64: production(r)}), "environments.aaa"),
        (lambda r: r.update(environments={}), "environments"),
        (lambda r: r["channels"].update(C9="nowhere"), "channels.C9: there is no environment `nowhere`"),
        (lambda r: r["bot"].update(default_environment="nowhere"), "bot.default_environment: there is no environment"),
        (lambda r: r.update(slack={"connections": 11}), "slack.connections"),
        (lambda r: r.update(slack={"connections": 0}), "slack.connections"),
        (lambda r: r.update(slack={"edits_per_minute": 0}), "slack.edits_per_minute"),
        (lambda r: r.update(times={"drain": -1}), "times.drain"),
        (lambda r: r.update(times={"drain": float("nan")}), "times.drain"),
        (lambda r: r.update(surprise={}), "surprise: there is no such setting; the settings here are `bot`, "),
    ],
)
def test_what_does_not_fit_together_is_refused_and_the_place_is_named(change: Change, words: str) -> None:
    assert words in refused(change)


def test_every_place_that_is_wrong_is_named_at_once() -> None:
    said = refused(lambda raw: (raw.update(slack={"connections": 0}), raw.update(times={"drain": -1})))
    assert "slack.connections" in said
    assert "times.drain" in said


# Slack's address


@pytest.mark.parametrize(
    "address",
    [
        "https://slack.com.evil.example/api/",
        "http://slack.com/api/",
        "https://slack.com/api",
        "https://SLACK.com/api/",
        "https://slack.com@evil.example/api/",
        "http://127.0.0.1:8080/api/",
        "",
    ],
)
def test_another_address_than_slacks_is_refused_outside_the_sandbox(address: str) -> None:
    assert "slack.api_url: an address other than Slack's" in refused(lambda raw: raw.update(slack={"api_url": address}))


@pytest.mark.parametrize(
    "address", [SLACK_API, "http://evil.example/api/", "http://127.0.0.1.evil.example/", "http://0.0.0.0/"]
)
def test_a_sandbox_speaks_to_this_machine_only(address: str) -> None:
    def sandbox(raw: dict[str, Any]) -> None:
        raw["bot"]["sandbox"] = True
        raw["slack"] = {"api_url": address}

    assert "a sandbox may only connect to 127.0.0.1" in refused(sandbox)


# secrets


def written(tmp_path: Path, text: str = "") -> Path:
    path = tmp_path / "omnicare.toml"
    path.write_text(
        '[environments.production]\nnamespace = "emr"\n'
        '[[environments.production.services]]\nname = "backend"\nrepository = "ghcr.io/omnicare/backend"\n' + text,
        encoding="utf-8",
    )
    return path


def test_tokens_come_from_the_environment_and_show_nowhere(tmp_path: Path) -> None:
    os.environ |= {"OMNICARE_SLACK_BOT_TOKEN": BOT_TOKEN, "OMNICARE_SLACK_APP_TOKEN": APP_TOKEN}
    os.environ["OMNICARE_DATABASE_URL"] = "postgresql://bot:hunter2@db/omnicare"
    settings = load(written(tmp_path))
    assert settings.slack.bot_token.get_secret_value() == BOT_TOKEN
    assert settings.slack.app_token.get_secret_value() == APP_TOKEN
    assert settings.database_url().endswith("@db/omnicare")
    for shown in (repr(settings), str(settings), repr(settings.slack), f"{settings.bot!r}", f"{settings}"):
        assert "hunter2" not in shown
    for dumped in (settings.model_dump_json(), str(settings.model_dump()), str(settings.model_dump(mode="json"))):
        assert BOT_TOKEN not in dumped
        assert APP_TOKEN not in dumped


@pytest.mark.parametrize("key", ["bot_token", "app_token"])
def test_a_token_in_the_file_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigurationError, match="tokens don't belong in the file") as error:
        load(written(tmp_path, f'[slack]\n{key} = "{BOT_TOKEN}"\n'))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        '[slack]\ncommand = ["hunter2"]\n',
        '[slack]\nconnections = "hunter2"\n',
        '[bot]\ndatabase_url = ["hunter2"]\n',
        '[people.maya]\nname = "Maya"\nroles = "hunter2"\n',
        '[times]\ndrain = "hunter2"\n',
        '[slack]\ncommand = "hunter2\n',
        'slack = "hunter2"\n',
    ],
)
def test_an_error_never_shows_a_value_of_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(written(tmp_path, text))
    assert "hunter2" not in str(error.value)
    assert (
        error.value.__suppress_context__
        or not isinstance(error.value.__cause__, ValueError)
        or "hunter2" not in str(error.value.__cause__)
    )


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Name one with --config or \$OMNICARE_CONFIG"):
        load(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "is not UTF-8 text: byte 1 can't be read. Save it as UTF-8."),
        (b"a = [", "is not TOML: "),
        (b"a = 1\na = 2\n", "(at line 2, column 6)."),
        (b"a = " + b"[" * 100_000, "is not TOML: it is nested too deeply."),
        (b"a = " + b"9" * 5000, "is not TOML: a number in it has too many digits."),
        (b"", "environments: at least one is required"),
        (b"[[bot]]\n", "line 1: bot: write a table: [bot]"),
        (b"slack = true\n", "line 1: slack: write a table: [slack]"),
        (b"[slack]\nenabled = 'never'\n", "line 2: slack.enabled: write true or false, without quotation marks"),
        (b"[bot]\n# x\nweb_prot = 80\n", "line 3: bot.web_prot: there is no such setting; did you mean `web_port`?"),
        (
            b"[environments.production]\nnamespace = 'x'\n[[environments.production.services]]\nname = 'a'\nrepository = 'r'\n[[environments.production.services]]\nname = 'b'\n",
            "line 6: environments.production.services.1.repository: this setting is required",
        ),
        (b'[people."maya"]\nroles = []\n', "line 1: people.maya.name: this setting is required"),
        (
            b"[environments.production]\nnamespace = 'x'\n[[environments.production.verification.metrics]]\nname = 'a'\nlimit = 1\nquery = 'sum(rate(x[5m])'\n",
            "line 6: environments.production.verification.metrics.0.query: it is not PromQL: ",
        ),
        (b"bot.web_port = 'x'\n", "line 1: bot.web_port: write a whole number, without quotation marks"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_file_line_and_what_to_write_instead(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "omnicare.toml"
    path.write_bytes(content)
    os.environ["OMNICARE_EXECUTOR"] = "omnicare-7"  # which goes into a table of the file
    with pytest.raises(ConfigurationError, match=r"omnicare\.toml is not") as error:
        load(path)
    assert words in str(error.value)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = written(tmp_path, "[bot]\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(path).environments


def settings_or_sentence(path: Path) -> str:
    try:
        load(path)
    except ConfigurationError as error:
        return str(error)
    return str(path)


_EXAMPLE = (Path(__file__).parents[2] / "docs/examples/omnicare.toml").read_text()


@hypothesis_settings(max_examples=500, deadline=None)
@given(st.data())
def test_whatever_a_file_has_become_is_settings_or_a_sentence(data: st.DataObject) -> None:
    lines = _EXAMPLE.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "twice", "cut", "value", "header"]))
        if change == "drop":
            lines[at] = ""
        elif change == "twice":
            lines.insert(at, lines[at])
        elif change == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        elif change == "value":
            values = [
                "true",
                "-1",
                "1e999",
                "nan",
                '""',
                "[]",
                "{}",
                "[[1]]",
                "{ a = 1 }",
                "1979-05-27",
                '"\\u0000"',
                '"x y"',
            ]
            lines[at] = f"{lines[at].partition('=')[0]} = {data.draw(st.sampled_from(values))}"
        else:
            lines[at] = data.draw(
                st.sampled_from(["[[bot]]", "[slack]", "[people]", "[environments.production.services]"])
            )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "omnicare.toml"
        path.write_text("\n".join(lines))
        assert settings_or_sentence(path).startswith(str(path))


@pytest.mark.parametrize("variable", ["OMNICARE_SLACK_BOT_TOKEN", "OMNICARE_SLACK_APP_TOKEN"])
def test_a_line_break_behind_a_token_is_taken_off_and_one_inside_is_refused(tmp_path: Path, variable: str) -> None:
    os.environ[variable] = " xapp-hunter2\r\n"
    settings = load(written(tmp_path, "[bot]\n"))
    assert "xapp-hunter2" in {each.get_secret_value() for each in (settings.slack.bot_token, settings.slack.app_token)}
    for inside in ("xapp-\nhunter2", "xapp hunter2", "xapp-hunter2\u200b", "xäpp-hunter2"):
        os.environ[variable] = inside
        with pytest.raises(ConfigurationError, match=f"^{variable} contains an invalid character") as error:
            load(written(tmp_path, "[bot]\n"))
        assert "hunter2" not in str(error.value)


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    os.environ |= {"OMNICARE_EXECUTOR": "omnicare-7", "OMNICARE_STATE": str(tmp_path / "elsewhere")}
    settings = load(written(tmp_path, '[bot]\nexecutor = "omnicare-1"\n'))
    assert settings.bot.executor == "omnicare-7"
    assert settings.bot.audit_log_path == tmp_path / "elsewhere" / "audit.sqlite"
    assert settings.bot.socket_path == tmp_path / "elsewhere" / "run" / "bot.sock"


def test_which_file_is_read() -> None:
    os.environ["OMNICARE_CONFIG"] = "/srv/omnicare.toml"
    assert default_path() == Path("/srv/omnicare.toml")


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(Settings.model_fields)), _plain)
def test_whatever_stands_in_a_table_is_settings_or_a_sentence(table: str, value: object) -> None:
    raw = configuration() | {table: value}
    try:
        assert isinstance(validate(raw), Settings)
    except ConfigurationError as error:
        first, *places = str(error).split("\n  ")
        assert first == "configuration is not valid:"
        assert all(": " in place for place in places) and places  # noqa: PT018


def test_what_the_bot_itself_holds_is_known_to_the_redactor_before_anything_is_written() -> None:
    raw: dict[str, Any] = {
        "bot": {"database_url": "postgresql://omnicare:p%40ss-w0rd-of-the-engine@db.internal/engine"},
        "slack": {"bot_token": "xoxb-held", "app_token": ""},
        "environments": {"production": {"namespace": "n", "services": [{"name": "backend", "repository": "r"}]}},
    }
    assert _secrets(validate(raw)) == [b"xoxb-held", b"p%40ss-w0rd-of-the-engine", b"p@ss-w0rd-of-the-engine"]


def test_the_guides_variables_fill_in_what_the_file_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "omnicare.toml"
    services = '[[environments.{0}.services]]\nname = "backend"\nrepository = "{1}/omnicare/backend"\n'
    path.write_text(
        '[slack]\nenabled = false\n[environments.production]\nnamespace = "omnicare-prod"\n'
        + services.format("production", "$REGISTRY")
        + '[environments.production.cdn]\npaths = ["/index.html"]\n'
        + '[environments.staging]\nnamespace = "omnicare-staging"\ncluster = {kubeconfig = "/etc/own"}\n'
        + services.format("staging", "${REGISTRY}")
    )
    os.environ |= {"KUBECONFIG": "/home/ops/omnicare-prod-kubeconfig", "REGISTRY": "ghcr.io"}
    os.environ["CLOUDFRONT_DISTRIBUTION_ID"] = "E2EXAMPLE1ABCD"
    found = load(path).environments
    assert found["production"].cluster.kubeconfig == Path("/home/ops/omnicare-prod-kubeconfig")
    assert found["staging"].cluster.kubeconfig == Path("/etc/own")
    assert {each.services[0].repository for each in found.values()} == {"ghcr.io/omnicare/backend"}
    assert found["production"].cdn is not None
    assert found["production"].cdn.distribution == "E2EXAMPLE1ABCD"
