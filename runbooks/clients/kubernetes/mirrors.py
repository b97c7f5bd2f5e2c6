"""Original names for images that the cluster's admission rewrites to a configured mirror; the actual name is kept beside them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runbooks.clients.kubernetes import reading
from runbooks.clients.kubernetes.views import ContainerSpec, DeploymentView, PodView, ReplicaSetView

Json = Mapping[str, Any]


class Mirrors:
    """Readers for objects with images, with the configured mirrors: original name → the mirror's."""

    def __init__(self, mirrors: Mapping[str, str]) -> None:
        longest_first = sorted(mirrors.items(), key=lambda each: len(each[1]), reverse=True)
        self._mirrors = tuple((own.rstrip("/"), mirror.rstrip("/")) for own, mirror in longest_first)

    def deployment(self, item: Json) -> DeploymentView:
        view = reading.deployment(item)
        return replace(view, containers=self._own(view.containers), init=self._own(view.init))

    def replica_set(self, item: Json) -> ReplicaSetView:
        view = reading.replica_set(item)
        return replace(view, containers=self._own(view.containers), init=self._own(view.init))

    def pod(self, item: Json) -> PodView:
        view = reading.pod(item)
        return replace(view, asked=self._own(view.asked))

    def own(self, image: str) -> str:
        """Return the image under its original name, or unchanged if it is not from a mirror."""
        for own, mirror in self._mirrors:
            if image.startswith((f"{mirror}/", f"{mirror}:", f"{mirror}@")):
                return own + image[len(mirror) :]
        return image

    def _own(self, containers: tuple[ContainerSpec, ...]) -> tuple[ContainerSpec, ...]:
        if not self._mirrors:
            return containers
        named = ((each, self.own(each.image)) for each in containers)
        return tuple(each if own == each.image else replace(each, image=own, written=each.image) for each, own in named)
