"""What somebody gets wrong who sets the bot up for the first time: each is told with its line and what to write instead."""

from pathlib import Path

import pytest

from bot.config import ConfigurationError, load

GOOD = """[roles.a]
about = "x"
[people.maya]
name = "Maya"
slack = "U0123MAYA01"
roles = ["a"]
[environments.production]
namespace = "omnicare-prod"
[[environments.production.services]]
name = "backend"
repository = "ghcr.io/omnicare/backend"
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMNICARE_STATE", "OMNICARE_DATABASE_URL", "OMNICARE_EXECUTOR"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "omnicare.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"Maya"', "“Maya”", "“ (U+201C) is a typographic quotation mark: write a straight one"),
        ('"Maya"', '"Maya”', "” (U+201D) is a typographic quotation mark: write a straight one"),
        (
            "name = ",
            "name\u00a0= ",
            "an invisible sign (no-break space, U+00A0): remove it, or write an ordinary space",
        ),
        ("[people.maya]", "[people.\u200bmaya]", "an invisible sign (zero width space, U+200B): remove it"),
        ('"Maya"', '"Ma\x07ya"', "an invisible sign (a control character, U+0007): remove it"),
        ("[people.maya]", "[people.maya–b]", "– (U+2013) is a long dash: write a hyphen, - (at line 3, column 13)."),  # noqa: RUF001
        (
            "[people.maya]",
            "[people.jürgen]",
            "ü (U+00FC) may stand only between quotation marks (at line 3, column 10).",
        ),
        ('"Maya"', "Maya", "write text in quotation marks"),
        ('"Maya"', '"Maya', "a text has no closing quotation mark (at line 4"),
        ("name = ", "name: ", "write `key = value`"),
        ("[environments.production]", "[people.maya]", "this table is there already"),
        (
            "[[environments.production.services]]",
            "[environments.production.services]",
            "as a table: [[environments.production.services]]",
        ),
        ("U0123MAYA01", "@maya", "line 5: people.maya.slack: write the member's id, such as U012AB3CD"),
        ("U0123MAYA01", "U0123MAYA01\u200b", "line 5: people.maya.slack: write the member's id"),
        ("omnicare-prod", "Omnicare_Prod", "line 8: environments.production.namespace: write a name as Kubernetes has"),
        (
            "omnicare/backend",
            "omnicare/backend:v1",
            "line 11: environments.production.services.0.repository: write an ",
        ),
        ('"backend"', '"Back end"', "services.0.name: write lower case letters, digits and hyphens, a letter first"),
    ],
)
def test_signs_and_values_that_are_easily_got_wrong_are_told_once_with_what_to_write(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    load(written(tmp_path, GOOD))
    with pytest.raises(ConfigurationError) as error:
        load(written(tmp_path, GOOD.replace(before, after, 1)))
    assert words in str(error.value)
    assert str(error.value).count("\n") <= 1


@pytest.mark.parametrize(
    ("table", "setting", "values"),
    [
        (
            "bot",
            "database_url",
            ("x", "", "mysql://h/x", "postgres://h/x", "postgresql://", "postgresql://h:a/x", "sqlite://"),
        ),
        ("bot", "state", ("", "~/omnicare", "$HOME/omnicare", "/var/\\u0000lib")),
        ("bot", "web_host", ("", "http://0.0.0.0", "0.0.0.0:8080")),
        ("bot", "executor", ("", "a b")),
        ("bot", "audit_channel", ("#audit", "")),
        ("slack", "command", ("omnicare", "/omni care")),
        ("slack", "workspace", ("omnicare.slack.com",)),
        ("registries", '"ghcr.io"', ("x", "https://")),
        ("mirrors", '"ghcr.io"', ("", "a b")),
        ("channels", '"#deploys"', ("production",)),
    ],
)
def test_a_value_that_could_not_work_later_is_refused_at_its_line(
    tmp_path: Path, table: str, setting: str, values: tuple[str, ...]
) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=r"line 2: .*: write "):
            load(written(tmp_path, f'[{table}]\n{setting} = "{value}"\n{GOOD}'))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("plan_deadline", "0"),
        ("query_deadline", "0.0"),
        ("start_within", "0"),
        ("drain", "1e300"),
        ("slack_call", "2678401"),
    ],
)
def test_a_time_that_no_run_could_keep_is_refused_at_its_line(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"line 2: times.{setting}: write (more than 0|2678400 or less)"):
        load(written(tmp_path, f"[times]\n{setting} = {value}\n{GOOD}"))


@pytest.mark.parametrize("url", ["sqlite:////var/lib/x", "postgresql://h/x", "postgresql+psycopg:///x?host=/run"])
def test_urls_that_the_engine_can_use_are_accepted(tmp_path: Path, url: str) -> None:
    assert load(written(tmp_path, f'[bot]\ndatabase_url = "{url}"\n{GOOD}')).database_url() == url


@pytest.mark.parametrize(
    "above",
    [
        'about = """\n[people.maya]\nshared = 3\n"""',
        "about = '''\n[people.maya]\nshared = 3\n'''",
        'about = "x" # \u2028 \x85 """',
        'about = "x"\ngroup = """\\\n[people.maya]\\"""\nshared = 3"""',
        'about = \'[people.maya]"""\'',
    ],
)
def test_the_line_is_the_settings_whatever_stands_in_texts_comments_and_lists_above_it(
    tmp_path: Path, above: str
) -> None:
    listed = 'roles = [\n"a"\n]\nothers = [\n]\nshared = "x"'
    text = GOOD.replace('about = "x"', above).replace('roles = ["a"]', listed)
    number = 1 + text[: text.index('shared = "x"')].count("\n")
    with pytest.raises(ConfigurationError, match=f"line {number}: people.maya.shared: write true or false"):
        load(written(tmp_path, text))
