"""The state directory: what others may write is not served."""
# ruff: noqa: ASYNC240

import os
from pathlib import Path

import pytest

from bot.process import process_lock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


async def test_a_directory_that_anybody_may_write_is_refused_with_the_line_that_mends_it(state: Path) -> None:
    state.chmod(0o777)
    with pytest.raises(process_lock.StateOpen, match=rf"chmod 0700 {state}"):
        async with process_lock.held(state):
            pass
    state.chmod(0o700)
    async with process_lock.held(state):
        pass


@pytest.mark.parametrize("name", ["audit.sqlite", "audit.sqlite-wal", "engine.sqlite", process_lock.LOCK])
async def test_a_file_that_anybody_may_write_is_refused_with_the_line_that_mends_it(state: Path, name: str) -> None:
    (state / name).touch()
    (state / name).chmod(0o666)
    with pytest.raises(process_lock.StateOpen, match=rf"{name} \(0666\).*chmod 0600 {state / name}\.$"):
        async with process_lock.held(state):
            pass
    assert (state / name).stat().st_mode & 0o777 == 0o666, "who opened it to others is still to be found out"


async def test_what_the_bots_own_group_may_write_is_served_as_a_volume_in_kubernetes_has_it(state: Path) -> None:
    (state / "audit.sqlite").touch()
    for each, mode in ((state, 0o2770), (state / "audit.sqlite", 0o660)):
        os.chown(each, -1, os.getegid())
        each.chmod(mode)
    async with process_lock.held(state):
        pass


async def test_the_line_can_be_pasted_where_a_name_has_a_space(tmp_path: Path) -> None:
    state = tmp_path / "the state"
    state.mkdir()
    state.chmod(0o777)
    with pytest.raises(process_lock.StateOpen, match=rf"chmod 0700 '{state}'"):
        async with process_lock.held(state):
            pass


def test_a_file_that_sqlite_takes_away_meanwhile_is_nobodys(tmp_path: Path) -> None:
    assert process_lock._others_write(tmp_path / "engine.sqlite-wal") is None
