"""Levels, messages, trace ids and shapes of lines, in the ways in which applications write them."""

import pytest

from runbooks.logs.parsing import LogLevel, level_of, read, shape_of
from runbooks.redaction.redactor import Redactor


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("ERROR cannot connect", LogLevel.ERROR),
        ("2026-01-01 00:00:00,123 [main] WARN  o.h.Session - slow", LogLevel.WARN),
        ("level=warn msg=slow", LogLevel.WARN),
        ("[info] listening", LogLevel.INFO),
        ("error: no such table", LogLevel.ERROR),
        ("E0101 12:00:00.000 1 main.go:3] failed", LogLevel.ERROR),
        ("FATAL out of memory", LogLevel.FATAL),
        ("GET /errors 200 3ms", LogLevel.NONE),
        ("the user saw an error page", LogLevel.NONE),
        ('{"level":"warn","msg":"slow query"}', LogLevel.WARN),
        ('{"level":50,"msg":"boom"}', LogLevel.ERROR),
        ('{"severity":"CRITICAL","message":"x"}', LogLevel.FATAL),
        ('{"log":{"level":"error"},"message":"x"}', LogLevel.ERROR),
        ("{not json} ERROR", LogLevel.ERROR),
        ('{"msg":"no level"}', LogLevel.NONE),
    ],
)
def test_the_level_of_a_line(line: str, level: LogLevel):
    assert read(line).level is level
    assert level_of(f"x2lqp 12:00:00 {line}") is level or level is LogLevel.ERROR


def test_json_is_read_and_anything_else_is_its_own_message():
    said = read('{"level":"error","msg":"sync failed","err":{"message":"conflict"},"traceId":"4f9a","pid":1}')
    assert (said.message, said.trace, said.is_json) == ("sync failed: conflict", "4f9a", True)
    bare = read('{"level":"info","method":"GET","path":"/fhir","status":200,"time":1}')
    assert bare.message == "method=GET path=/fhir status=200"
    plain = read("INFO done trace_id=4f9a11")
    assert (plain.message, plain.trace, plain.is_json) == ("INFO done trace_id=4f9a11", "4f9a11", False)


@pytest.mark.parametrize("line", ['{"a":' * 5000, "[" * 9000, '{"level":{}}', '{"msg":5,"level":true}', "{", "", "{}"])
def test_no_line_is_too_strange_to_be_read(line: str):
    assert isinstance(read(line).message, str)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GET /orders/17 200 5ms", "GET /orders/4711 200 31ms"),
        ("job 6f1c9d0a-1b2c-4d3e-8f90-abcdefabcdef done", "job 11111111-2222-3333-4444-555555555555 done"),
        ("at 2026-01-01T00:00:01Z x", "at 2026-02-03T10:20:30.5Z x"),
        ("no table 'a b'", "no table 'orders'"),
        ("peer 10.0.0.1:443 gone", "peer 10.20.30.40:80 gone"),
        ("patient [name 1] MRN [mrn 2]", "patient [name 17] MRN [mrn 3]"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace 00f067aa0ba902b7aaaaaaaaaaaaaaa1"),
    ],
)
def test_what_varies_is_no_part_of_a_shape(one: str, other: str):
    assert shape_of(one) == shape_of(other)


def test_no_mark_of_a_shape_is_taken_for_a_password_again():
    shape = shape_of("url=postgres://omnicare_prod_user:[password 7]@db:5432/emr")
    assert shape == "url=postgres://…@db:#/emr"
    assert Redactor().text(shape) == shape


def test_what_tells_messages_apart_is():
    assert shape_of("connection refused") != shape_of("connection reset")
    assert len(shape_of("word " * 1000)) == 160
