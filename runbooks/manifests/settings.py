"""Which files of the release's repository are the environment's configuration."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ManifestPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}\.ya?ml$")]


class ManifestSettings(BaseModel):
    """`[environments.NAME.manifests]`: files with ConfigMaps, applied at the release's commit after the services run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: Annotated[tuple[ManifestPath, ...], Field(min_length=1, max_length=20)] = (
        "devops/kubernetes/production-config.yaml",
    )
    """Paths in the release's repository. ConfigMaps in them are applied; objects of other kinds are named in the plan and left alone."""
