"""The labelled corpus: how much of what was planted goes, how much of what an engineer needs stays; each with a floor."""

import random

import pytest

from runbooks.redaction.redactor import PrivateKind, Redactor
from tests.support.corpus import corpus, scored
from tests.support.formats import formats, streamed

RECALL = 0.995
"""Of each kind."""
KEPT = 0.995


@pytest.mark.parametrize("seed", [1, 7])
def test_recall_of_each_kind_and_what_stays_have_floors(seed: int) -> None:
    score = scored(Redactor().text, seed=seed)
    low = {kind: score.recall(kind) for kind in score.planted if score.recall(kind) < RECALL}
    assert not low, "\n".join(score.misses[:20])
    assert score.kept >= KEPT, "\n".join(score.misses[:20])


def test_every_kind_of_patient_data_is_planted() -> None:
    planted = {kind for item in (*corpus(each=60), *formats(each=2)) for kind, _ in item.private}
    secrets = {
        PrivateKind.SECRET,
        PrivateKind.PASSWORD,
        PrivateKind.TOKEN,
        PrivateKind.JWT,
        PrivateKind.BEARER,
        PrivateKind.BASIC,
        PrivateKind.AWS,
        PrivateKind.GITHUB,
        PrivateKind.SLACK,
        PrivateKind.PRIVATE_KEY,
    }
    assert set(PrivateKind) - secrets - planted <= {PrivateKind.BIOMETRIC, PrivateKind.WITHHELD}


def test_redacting_twice_changes_nothing() -> None:
    redactor = Redactor()
    for item in corpus(seed=3, each=40):
        once = redactor.text(item.text)
        assert redactor.text(once) == once


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_a_mark_that_somebody_typed_before_a_value_hides_nothing(way: str) -> None:
    redactor, rng = Redactor(), random.Random(5)
    items = (*corpus(seed=5, each=20), *formats(seed=5, each=4)) if way == "whole" else formats(seed=5, each=4)
    tried = 0
    for item in items:
        found = redactor.text(item.text)
        for kind, value in item.private:
            if value in found or value.startswith('"'):
                continue
            tried += 1
            forged = item.text.replace(value, f"[{kind} 1]{value}")
            out = redactor.text(forged) if way == "whole" else streamed(redactor.scope(), forged, rng)
            assert value not in out, (item.source, out)
    assert tried > 400


@pytest.mark.parametrize("between", [" ", "-", ".", ", "])
def test_a_field_that_only_begins_with_a_mark_goes_whole(between: str) -> None:
    redactor, tried = Redactor(), 0
    for item in formats(seed=5, each=4):
        found = redactor.text(item.text)
        for kind, value in item.private:
            if value in found or value.startswith('"'):
                continue
            tried += 1
            out = redactor.text(item.text.replace(value, f"[{kind} 1]{between}{value}"))
            assert value not in out, (item.source, out)
    assert tried > 400
