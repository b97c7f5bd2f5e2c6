"""Answers that go on: they have names, are stopped by name in their own place, and are bounded in number."""

import pytest

from commands.kit.follows import MOST, Follows
from runbooks.kit.errors import PermanentError


def test_one_is_stopped_by_its_name_in_its_own_environment_only():
    follows = Follows()
    going = follows.begin("production")
    assert not follows.stop(going.id, "staging", "Eli")
    assert not follows.stop("nothing", "production", "Eli")
    assert not going.stopped.is_set()
    assert follows.stop(going.id, "production", "Maya")
    assert (going.stopped.is_set(), going.by) == (True, "Maya")


def test_one_that_has_ended_is_not_there_to_be_stopped():
    follows = Follows()
    going = follows.begin("production")
    follows.end(going)
    follows.end(going)
    assert not follows.stop(going.id, "production", "Maya")


def test_there_are_only_so_many_at_once_and_an_end_makes_room():
    follows = Follows()
    every = [follows.begin("production") for _ in range(MOST)]
    with pytest.raises(PermanentError, match="already being followed"):
        follows.begin("production")
    follows.end(every[0])
    assert follows.begin("production").id not in {each.id for each in every[1:]}


def test_the_end_of_the_process_stops_all():
    follows = Follows()
    every = [follows.begin("production"), follows.begin("staging")]
    follows.stop_all("because the bot is being restarted")
    assert all(each.stopped.is_set() for each in every)
