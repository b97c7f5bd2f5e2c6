"""The card of `resources`, without a cluster."""

from commands.kit.card import Note
from commands.observe.resources import _table
from runbooks.observe.resources import ResourcesOfKind


def test_what_is_left_out_is_counted_once_for_each_kind_over_all_regions() -> None:
    kinds = [
        ResourcesOfKind(kind="ReplicaSet", region="eu", left_out=2),
        ResourcesOfKind(kind="Service", region="eu"),
        ResourcesOfKind(kind="ReplicaSet", region="us", left_out=1),
    ]
    (note,) = (each for each in _table(kinds) if isinstance(each, Note))
    assert "".join(span.text for span in note.text.spans if hasattr(span, "text")) == (
        "Left out because none of their pods run: 3 ReplicaSets."
    )
