"""Which workflow builds a release's images."""

from pydantic import Field

from runbooks.kit.targets import Frozen


class BuildSettings(Frozen):
    """`[environments.NAME.build]`: a workflow of `github`'s repository that is started by dispatch.

    It has two inputs: `version`, the tag, and `request`, which it must show in its `run-name`, because the bot finds its run by it.
    The token needs the repository permission Actions (write).
    """

    workflow: str = Field(default="images.yml", pattern=r"^[A-Za-z0-9._-]{1,100}\.ya?ml$")
    """The workflow's file."""
    minutes: float = Field(default=45.0, gt=0, le=360)
    """How long the bot follows it."""
    look_seconds: float = Field(default=10.0, gt=0, le=60)
    """GitHub has no watch: the run is looked at this often."""
    grace_seconds: float = Field(default=30.0, gt=0, le=600)
    """How long a run is looked for whose start GitHub may have taken without saying so, before it is started again."""
