"""What a sandbox prints as it opens: lines that can be typed as they stand, and only what is so tonight."""

from pathlib import Path

from sandbox.cluster import seed_omnicare
from sandbox.scenarios import BY_NAME
from sandbox.welcome import welcome
from sandbox.world import SandboxWorld


def test_the_program_is_named_so_that_another_shell_finds_it(tmp_path: Path):
    said = welcome(SandboxWorld(tmp_path), "http://127.0.0.1:1/?token=x")
    (line,) = [line.strip() for line in said.splitlines() if "--as maya status" in line]
    assert Path(line.split()[0]).name == "omnicare"
    assert Path(line.split()[0]).exists()


async def test_a_bad_night_says_what_is_broken_and_no_other_thing_to_try(tmp_path: Path):
    night = BY_NAME["quota"]
    world = SandboxWorld(tmp_path)
    seed_omnicare(world.cluster)
    await world.play(night)
    said = welcome(world, None)
    assert night.sentence in said
    assert f"/omnicare {night.command}" in said
    assert "Four things to try" not in said
