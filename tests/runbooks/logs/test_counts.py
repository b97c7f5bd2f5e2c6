"""The figures of `logs` agree with each other whatever is in the logs and whatever is asked: shown + left out = matching ≤ read."""

import asyncio
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import yaml
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.kit.log_counts import count_words
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.logs.model import LogReading
from runbooks.logs.reading import Asked, LogLimits, read_from
from runbooks.logs.sources import LogSource, LogSources
from runbooks.redaction.redactor import default_redactor
from sandbox.outside.serving import serving

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENT = LogLimits(stream=600, silence=600, all=600)
WRITTEN = st.one_of(
    st.sampled_from(
        [
            "INFO started", "ERROR timeout after 30 s", '{"level":"error","msg":"timeout"}', "", "x" * 9_000, "ERROR \xff",
            "DATABASE_URL=postgres://omnicare:hunter2@db/emr", "patient Maria Lopez, SSN 219-09-9999",
            "-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ", "-----END PRIVATE KEY-----",
        ]
    ),
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=30),
)  # fmt: skip
LOGS = st.lists(st.lists(WRITTEN, max_size=30), min_size=1, max_size=3)
ASKED = st.builds(
    Asked,
    target=st.just("backend"),
    tail=st.sampled_from([0, 1, 3, 20, 5000]),
    grep=st.sampled_from([None, "ERROR", "timeout", "hunter2|Lopez|219", "(?i)e", "^$", "[^a]"]),
    since=st.sampled_from([None, NOW.replace(second=10)]),
    until=st.sampled_from([None, NOW.replace(second=20)]),
)


class Kubelets:
    """An API server with nothing but logs: one pod for each, whose name is its number."""

    def __init__(self) -> None:
        self.logs: list[list[str]] = []
        self.stack = AsyncExitStack()

    async def start(self, folder: Path) -> ClusterClient:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/n/pods/{pod}/log", self._log)
        url = await self.stack.enter_async_context(serving(app, "127.0.0.1", 0))
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        written = folder / "kubeconfig"
        written.write_text(yaml.safe_dump(config))
        return await self.stack.enter_async_context(ClusterClient(kubeconfig=str(written)))

    async def _log(self, request: web.Request) -> web.Response:
        lines = self.logs[int(request.match_info["pod"])]
        stamps = [f"2026-03-01T00:00:{at % 60:02}.000000000Z" for at in range(len(lines))]
        tail = int(request.query.get("tailLines", len(lines)))
        kept = [f"{at} {line}\n" for at, line in zip(stamps, lines, strict=True)][len(lines) - min(tail, len(lines)) :]
        return web.Response(body="".join(kept).encode())

    async def read(self, cluster: ClusterClient, asked: Asked) -> LogReading:
        pods = tuple(LogSource("n", str(number), "backend", str(number)) for number in range(len(self.logs)))
        return await read_from(cluster, asked, LogSources("backend", pods, (), ""), default_redactor().scope, PATIENT)


def figures(said: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"(?<![\w`])\d[\d,]*(?![\w`])", said)]


def test_what_is_shown_and_left_out_is_what_matches_of_what_was_read_and_the_words_say_the_same(tmp_path: Path) -> None:
    kubelets = Kubelets()
    with asyncio.Runner() as runner:
        cluster = runner.run(kubelets.start(tmp_path))

        @settings(deadline=None)
        @given(written=LOGS, asked=ASKED)
        def hold(written: list[list[str]], asked: Asked) -> None:
            kubelets.logs = written
            found = runner.run(kubelets.read(cluster, asked))
            counts = found.counts
            assert not found.silent
            assert counts.shown + counts.left_out == counts.matching <= counts.read <= sum(map(len, written))
            assert counts.shown == len(found.lines) <= asked.tail
            assert counts.left_out >= 0
            assert counts.matching == sum(found.groups.levels.values())
            assert bool(counts.each) <= (counts.read >= counts.each)
            words = count_words(found, asked, NOW)
            headline = "".join(span.text for span in words.headline if span.text != asked.grep)
            assert figures(headline) == [counts.matching, counts.streams, *([counts.read] if asked.grep else [])]
            assert figures(words.shown) == [counts.shown]
            assert len(words.missing) == bool(counts.left_out) + bool(counts.each)

        hold()
        runner.run(kubelets.stack.aclose())
