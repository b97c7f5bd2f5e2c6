"""The list of every text that a user may read."""

from bot.reference.messages import LEFT_OUT, ROOT, messages, texts


def test_a_sentence_and_a_capitalised_word_are_texts() -> None:
    assert texts('card("Nothing to do.", "Deny…", "nothing yet")') == ["Nothing to do.", "Deny…", "nothing yet"]


def test_names_keys_and_paths_are_no_texts() -> None:
    assert texts('f("run:failed", "app.py", "MAX_SURGE", "ImagePullBackOff", "a/b c"[0], " ", "42 %", "-")') == [
        "a/b c"
    ]


def test_what_is_filled_in_is_named_after_the_value() -> None:
    source = (
        "f\"{run.id} waits for {plural(n, 'pod')}{tail[0]}, {a or 'nobody'}, {'is' if n == 1 else 'are'} {n + 1:.0f}\""
    )
    assert texts(source) == ["{id} waits for {plural}{tail}, {a|nobody}, {is|are} {…}"]


def test_a_text_inside_a_placeholder_is_a_text_of_its_own() -> None:
    assert texts("f\"A text{' with a part' if x else ''}.\"") == ["A text{with a part}.", "with a part"]


def test_texts_in_defaults_keywords_tables_and_decorators_are_found() -> None:
    source = """
TABLE: dict[str, str] = {"key": "a table's text"}

@option(help="an option's text")
async def f(a: "an annotation" = "a default's text", *, b="a keyword's default"):
    return g(h="a keyword's text")

class C:
    field: str = argument("an argument's text")

lambda: "a lambda's text"
"""
    assert sorted(texts(source)) == [
        "a default's text",
        "a keyword's default",
        "a keyword's text",
        "a lambda's text",
        "a table's text",
        "an argument's text",
        "an option's text",
    ]


def test_what_no_user_reads_is_left_out() -> None:
    source = '''
"""A docstring."""
__all__ = ["Actor Name"]

class C:
    """A docstring."""
    x: int
    """What x is."""

def f() -> "Some | Other":
    """A docstring."""
    _log.warning("a line of the log")
    re.compile("a pattern")
    re.sub("a pattern", "what is written", text)
    x = r"a \\d pattern", "SELECT a FROM b", "SET LOCAL a = b", "some names".split()
    cast("Some | Other", x)
    if x == "two words" or x in ("two words", "three words"):
        table["two words"]
    match x:
        case "two words":
            pass
'''
    assert texts(source) == ["what is written"]


def test_each_text_of_a_module_is_listed_once_with_its_lines_kept_together() -> None:
    assert texts('a = "Two\\nlines"\nb = "Two\\nlines"') == ["Two\\nlines"]


def test_the_page_has_texts_of_every_layer_and_no_line_numbers() -> None:
    page = messages()
    for package in ("bot", "commands", "runbooks"):
        assert f"\n## {package}/" in page
    assert "Deny…" in page


def test_what_is_left_out_exists() -> None:
    assert all((ROOT / name).exists() for name in LEFT_OUT)
