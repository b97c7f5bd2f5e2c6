"""The statements that people are given for psql, on a real server with the reader's own rights."""

import shlex

import pytest

from runbooks.database import by_hand
from sandbox.postgres import schema
from tests.support.databases import Served

STATEMENTS = {
    "connect": by_hand.CONNECT,
    "activity": by_hand.ACTIVITY,
    "locks": by_hand.LOCKS,
    "pool": by_hand.POOL,
    "size": by_hand.sizes(10),
    "indexes": by_hand.INDEXES,
    "slow": by_hand.slow("mean", 10),
    "explain": by_hand.statement("q3f9ac1d2"),
    "replication": by_hand.REPLICATION,
    "replay": by_hand.REPLAY,
}


@pytest.mark.parametrize("about", STATEMENTS)
def test_the_server_takes_each_statement_as_it_is_pasted(here: Served, about: str) -> None:
    for line in by_hand.psql(here.settings(), "replica" if about == "replay" else "primary", STATEMENTS[about]):
        program, *words, statement = shlex.split(line)
        assert (program, words[0], words[-1]) == ("psql", "-X", "-c")
        assert "-h" in words
        here.sql(statement, role=schema.READER, place="replica" if about == "replay" else "primary")
