"""Argument types: what a value is, and a sentence that says what to type instead of anything else."""

# ruff: noqa: RUF001 - signs that look like others are the subject

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from commands.kit.parsing import UsageError, parse, split
from commands.kit.registry import load
from commands.kit.typed_text import made_plain
from commands.kit.types import DurationType, Invalid, Known, StartType, UntilType, VersionType, moment, start

REGISTRY = load()
KNOWN = Known(
    environments=("production", "staging"),
    services=("backend", "frontend"),
    commands=REGISTRY.names(),
    people=("requester", "approver"),
)


def request_of(text: str) -> Any:
    return parse(split(made_plain(text)), REGISTRY, KNOWN, default_environment="production")


def refused(text: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        request_of(text)
    return error.value


def value(kind: Any, text: str) -> Any:
    return kind.parse(text, KNOWN)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("v2.0.0", "v2.0.0"),
        ("2.0.0", "2.0.0"),
        ("v2", "v2"),
        ("v1.2.3-rc.1", "v1.2.3-rc.1"),
        ("20261124", "20261124"),
        ("2026.11.24-2", "2026.11.24-2"),
    ],
)
def test_a_version(typed: str, meant: str) -> None:
    assert value(VersionType(), typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "v",
        "latest",
        "v2.0.0 ",
        "v2.0.0\n",
        "v2..0",
        "v2.0.0@sha256:ab",
        "v２.0",
        "../v2",
        "v2.0.0;x",
        "v" + "1" * 200,
        "v2/0",
        "v1.2.3.4.5",
        "-v2",
    ],
)
def test_what_is_no_version(typed: str) -> None:
    with pytest.raises(ValueError, match=r"is not a version\. A version looks like `v2.0.0`"):
        value(VersionType(), typed)


@pytest.mark.parametrize(("typed", "meant"), [("V2.0.0", "v2.0.0"), ("V2.0.0-RC1", "v2.0.0-rc1")])
def test_a_version_in_capitals_is_answered_with_what_was_meant(typed: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"`{typed}` is not a version\. Did you mean `{meant}`"):
        value(VersionType(), typed)


@pytest.mark.parametrize("typed", ["release-7", "sha-1a2b3c4", "2026.11"])
def test_the_configuration_says_which_tags_are_versions(typed: str) -> None:
    known = Known(versions=r"release-[0-9]+|sha-[0-9a-f]{7,40}|20[0-9]{2}\.[0-9]{2}")
    assert VersionType().parse(typed, known) == typed
    for other in ("v2.0.0", "release-", f"{typed}; rm", f"x{typed}", f"{typed}\n", ""):
        with pytest.raises(Invalid, match=r"is not a version\. Versions here match `release-"):
            VersionType().parse(other, known)
    with pytest.raises(Invalid, match="Did you mean `release-7`"):
        VersionType().parse("Release-7", known)


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("1 h", 3600), ("15M", 900), ("30d", 2592000)],
)
def test_a_duration(typed: str, seconds: int) -> None:
    assert value(DurationType(), typed) == seconds


@pytest.mark.parametrize(("seconds", "typed"), [(3600, "1h"), (90, "90s"), (86400, "1d"), (5400, "90m"), (1, "1s")])
def test_a_length_of_time_as_it_would_be_typed(seconds: int, typed: str) -> None:
    assert DurationType().typed(seconds) == typed
    assert value(DurationType(), typed) == seconds


@pytest.mark.parametrize("typed", ["", "15", "m", "0s", "-5m", "1.5h", "31d", "9999999s", "5m!", "５m", "1w", "1h-30m"])
def test_what_is_no_duration(typed: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        value(DurationType(), typed)


@pytest.mark.parametrize(
    "typed", ["18:00", "9:05", "2026-11-24", "2026-11-24 18:00", "2026-11-24T18:00", "2h", "2028-02-29"]
)
def test_a_time(typed: str) -> None:
    assert value(UntilType(), typed) == typed.replace("T", " ")


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "25:00",
        "18:60",
        "18",
        "2026-02-30",
        "2026-13-01",
        "0001-01-01",
        "9999-12-31 23:59",
        "tomorrow",
        "１８:00",
        "18:0٠",
        "2026-11-24 18:00:00",
    ],
)
def test_what_is_no_time(typed: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (time|valid date)"):
        value(UntilType(), typed)


@pytest.mark.parametrize(
    "typed",
    [
        "(",
        "[a",
        "a{1001}",
        "(?=x)",
        "(?<!x)y",
        r"(a)\1",
        "*",
        "a**b",
        "(?P<n>",
        r"\8",
        "a" * 1001,
        "((a{100}){100}){100}",
    ],
)
def test_a_pattern_that_re2_refuses_is_a_sentence(typed: str) -> None:
    error = refused(f'logs backend --grep="{typed}"')
    assert "pattern" in error.message.lower()
    assert "`--grep`" in error.message


@pytest.mark.parametrize("typed", ["timeout|refused", r"(?i)error \d+", "(a*)*b", "((a+)+)+$", "über", "🔴"])
def test_a_pattern_that_re2_takes(typed: str) -> None:
    assert request_of(f'logs backend --grep="{typed}"').grep == typed


@pytest.mark.parametrize("typed", ["7KQ2", "#7KQ2", "production.deploy.0a1b2c3d4e5f6", "abc"])
def test_a_run(typed: str) -> None:
    assert request_of(f"approve {typed}").run == typed.lstrip("#")


@pytest.mark.parametrize(
    "typed",
    [
        "7K",
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".hidden",
        "a%",
        "a_b",
        "x' OR '1'='1",
        "a;drop table",
        "a\x00b",
        "7KQ2\n8",
        "٧KQ2",
        "a" * 101,
        "*",
        "%%%%",
    ],
)
def test_what_is_no_run(typed: str) -> None:
    for command in ("approve", "runs", "cancel"):
        with pytest.raises(UsageError, match=r"is not a run's id\. `runs` lists them"):
            parse([command, typed], REGISTRY, KNOWN, default_environment="production")


@pytest.mark.parametrize("typed", ["prod", "Production ", "production;", "__class__", "*", "", "prоduction"])
def test_an_environment_is_one_that_is_configured(typed: str) -> None:
    with pytest.raises(UsageError, match=r"There is no environment|`--env` is empty"):
        parse(["deploy", "v2.0.0", f"--env={typed}"], REGISTRY, KNOWN, default_environment="staging")


def test_the_same_service_twice_is_a_slip() -> None:
    assert "is given twice" in refused("rollback backend Backend").message


def test_an_option_twice_is_a_slip_whatever_way_it_is_written() -> None:
    for text in ("deploy v2 --env staging --env production", "deploy v2 --env=staging --ENV production"):
        assert "is given twice" in refused(text).message


def test_a_half_of_a_character_is_refused_before_it_is_written_anywhere() -> None:
    assert "incomplete character" in refused("deploy v2.0.0 --reason \ud800").message


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("02:00", "2026-11-27T02:00+01:00"),
        ("9:05", "2026-11-27T09:05+01:00"),
        ("18:01", "2026-11-26T18:01+01:00"),
        ("18:00", "2026-11-27T18:00+01:00"),
        ("2026-11-28 02:00", "2026-11-28T02:00+01:00"),
        ("2026-11-28T02:00", "2026-11-28T02:00+01:00"),
        ("2026-11-28T02:00Z", "2026-11-28T02:00+00:00"),
        ("2026-11-28T02:00:05-05:00", "2026-11-28T02:00:05-05:00"),
        ("2027-07-01T02:00", "2027-07-01T02:00+02:00"),
    ],
)
def test_a_start_is_meant_in_the_persons_zone_and_is_the_next_one(typed: str, meant: str) -> None:
    now = datetime(2026, 11, 26, 18, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    found = start(str(value(StartType(), typed)), now=now)
    assert (found, found.utcoffset()) == (datetime.fromisoformat(meant), datetime.fromisoformat(meant).utcoffset())


@pytest.mark.parametrize("typed", ["", "24:00", "2h", "2026-11-27", "2026-11-27T02", "0001-01-01T02:00", "２:00"])
def test_what_is_no_start(typed: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        value(StartType(), typed)


def test_an_hour_that_the_clock_leaves_out_is_no_start() -> None:
    night = datetime(2027, 3, 27, 23, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    with pytest.raises(Invalid, match="the clocks go forward"):
        start("02:30", now=night)


@pytest.mark.parametrize("day", [(2026, 3, 29), (2026, 10, 25)], ids=["forward", "back"])
@pytest.mark.parametrize("ahead", [True, False])
def test_a_length_of_time_is_that_long_when_the_clock_is_changed_meanwhile(
    day: tuple[int, int, int], ahead: bool
) -> None:
    now = datetime(*day, 0 if ahead else 5, 30, tzinfo=ZoneInfo("Europe/Zurich"))
    at = moment("4h", now=now, ahead=ahead)
    assert abs((at.astimezone(UTC) - now.astimezone(UTC)).total_seconds()) == 4 * 3600
    assert at.tzinfo == now.tzinfo
