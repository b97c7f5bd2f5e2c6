"""What people and programs write is shown as text; only what the page itself knows becomes a tag."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.slack.page.mrkdwn import emojis, markdown, mrkdwn, plain, safe_url
from sandbox.slack.page.reader import Names, Reader, zone_named

READER = Reader(
    person="U1",
    handle="requester",
    zone=zone_named("Europe/Berlin"),
    names=Names({"U1": "Requester", "U2": "Appr<o>ver"}, {"C1": "deploys"}, {"S1": "release-approvers"}),
    base="/as/requester",
    groups=frozenset(),
)
TAGS = {
    "a", "b", "blockquote", "br", "code", "em", "pre", "s", "span", "strong", "time",
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "hr", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def show(text: str) -> str:
    return str(mrkdwn(text, READER))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("*bold* _slanted_ ~struck~", "<strong>bold</strong> <em>slanted</em> <s>struck</s>"),
        ("_*both*_", "<em><strong>both</strong></em>"),
        ("2*3*4 a_b_c", "2*3*4 a_b_c"),
        ("`*not bold*`", "<code>*not bold*</code>"),
        ("```\nkubectl get &lt;pod&gt;\n```", "<pre>kubectl get &lt;pod&gt;</pre>"),
        ("&gt; quoted\nafter", "<blockquote>quoted</blockquote>after"),
        ("one\ntwo", "one<br>two"),
        ("AT&amp;T &copy;", "AT&amp;T &amp;copy;"),
        (":lock: :no_such_thing: 12:30:45", "🔒 :no_such_thing: 12:30:45"),
        (":large_yellow_circle:", "🟡"),
        ("<@U2>", '<span class="mention">@Appr&lt;o&gt;ver</span>'),
        ("<@U1|anybody>", '<span class="mention mention-you">@Requester</span>'),
        ("<!subteam^S1|@admins>", '<span class="mention">@release-approvers</span>'),
    ],
)
def test_mrkdwn_is_drawn_as_in_slack(typed: str, shown: str) -> None:
    assert show(typed) == shown


@pytest.mark.parametrize(
    "typed",
    [
        "<script>alert(1)</script>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "<img src=x onerror=alert(1)>",
        "*<b onclick=x>*",
        "`<script>`",
        "```<script>```",
        '<https://example.com/"onmouseover="alert(1)|x>',
        "<https://example.com|<img src=x>>",
    ],
)
def test_no_tag_comes_from_a_text(typed: str) -> None:
    for shown in (show(typed), str(plain(typed)), str(markdown(typed))):
        assert set(re.findall(r"<([a-z0-9]+)", shown)) <= TAGS
        assert not re.search(r"<[^>]*\son[a-z]+=(?=[^\"]*(?:\"[^\"]*\"[^\"]*)*>)", re.sub(r'"[^"]*"', '""', shown))


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JAVASCRIPT:alert(1)", " javascript:x", "data:text/html,x", "file:///etc/passwd", "//x.y", "vbscript:x", "http://", "java\nscript:x"],
)  # fmt: skip
def test_only_http_addresses_become_links(address: str) -> None:
    assert safe_url(address) == ""
    assert "<a" not in show(f"<{address}|press here>")
    assert "<a" not in str(markdown(f"[press here]({address})"))


def test_an_address_that_cannot_be_read_is_none() -> None:
    assert safe_url("https://[") == ""


def test_a_mention_of_nobody_is_not_drawn_as_a_mention() -> None:
    assert "mention" not in show("@Requester <@U999|Requester> <#C999|deploys> <!subteam^S9|@release-approvers>")


def test_a_link_keeps_its_address_whole() -> None:
    shown = show("<https://example.com/a_b_c?x=1&amp;y=*2*|the *notes*>")
    assert 'href="https://example.com/a_b_c?x=1&amp;y=*2*"' in shown
    assert 'rel="noreferrer noopener"' in shown


def test_an_address_of_a_message_leads_to_its_thread_here() -> None:
    there = "http://127.0.0.1:8080/archives/C1/p1700000000000100"
    assert show(f"<{there}|thread>") == '<a href="/as/requester/deploys/1700000000.000100" data-go>thread</a>'
    assert "target" in show(f"<{there.replace('C1', 'C2')}|thread>"), "a channel that the reader does not see"


def test_a_bare_address_becomes_a_link_unless_the_text_is_verbatim() -> None:
    assert "<a" in show("see https://example.com/x.")
    assert "<a" not in str(mrkdwn("see https://example.com/x.", READER, verbatim=True))


def test_a_date_is_written_in_the_readers_zone() -> None:
    shown = show("<!date^1700000000^{date_short} at {time}|fallback>")
    assert ">Nov 14, 2023 at 23:13<" in shown


def test_a_date_that_is_none_shows_its_fallback() -> None:
    assert show("<!date^soon^{time}|about noon>") == "about noon"
    assert show("<!date^99999999999999999^{time}|about noon>") == "about noon"


def test_markdown_knows_tables_but_neither_html_nor_pictures() -> None:
    shown = str(markdown("<b>x</b>\n\n![p](https://example.com/p.png)\n\n|a|b|\n|-|-|\n|1|2|\n"))
    assert "<table>" in shown
    assert "<img" not in shown
    assert "&lt;b&gt;" in shown


def test_short_codes_are_replaced_only_where_they_are_known() -> None:
    assert emojis(":white_check_mark: :-) a:b:c") == "✅ :-) a:b:c"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="*_~`<>|@#!&;:^\n \ue000\ue001\"'ab1/=()[]", max_size=60))
def test_whatever_is_written_only_known_tags_come_out(text: str) -> None:
    for shown in (show(text), str(markdown(text))):
        assert set(re.findall(r"</?([a-zA-Z0-9]+)", shown)) <= TAGS
