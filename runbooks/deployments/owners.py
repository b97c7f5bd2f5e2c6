"""Who else writes a Deployment: another hand during a rollout, or a controller that would put back what the bot changes.

`guarded_patch` asks what changed and who did it, plans and `doctor` ask who owns the Deployment. Told from what Kubernetes keeps of each
write (`metadata.managedFields`) and from the marks that Argo CD, Flux and Helm leave.
"""

from runbooks.clients.kubernetes.connection import FIELD_MANAGER
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.kit.answers import read_time
from runbooks.kit.targets import Frozen
from runbooks.wording import age_since

_SHOWN = 4


class Owner(Frozen):
    """A controller that holds the Deployment to what it was told elsewhere."""

    name: str
    """`Argo CD`, `Flux`, `Helm`."""
    mark: str
    """What shows it: a label, an annotation, a field manager."""
    puts_back: bool
    """It reconciles by itself; Helm only with its next upgrade."""

    @property
    def sentence(self) -> str:
        """What that means for a run of the bot."""
        when = (
            "would revert the bot's changes"
            if self.puts_back
            else "will revert the bot's changes with its next upgrade"
        )
        return f"{self.name} owns the Deployment ({self.mark}) and {when}"


def owner(deployment: DeploymentView) -> Owner | None:
    """The controller that owns it; None where nothing shows one."""
    marks = {**deployment.labels, **deployment.annotations}
    for key in marks:
        if key.startswith("argocd.argoproj.io/") and not key.endswith("/refresh"):
            return Owner(name="Argo CD", mark=key, puts_back=True)
        if key.startswith(("kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/")):
            return Owner(name="Flux", mark=key, puts_back=True)
    managers = {each.name for each in deployment.writers}
    for manager in sorted(managers):
        if manager.startswith("argocd"):
            return Owner(name="Argo CD", mark=f"field manager {manager}", puts_back=True)
        if manager in ("kustomize-controller", "helm-controller"):
            return Owner(name="Flux", mark=f"field manager {manager}", puts_back=True)
    if "meta.helm.sh/release-name" in marks or "helm" in managers:
        mark = "meta.helm.sh/release-name" if "meta.helm.sh/release-name" in marks else "field manager helm"
        return Owner(name="Helm", mark=mark, puts_back=False)
    return None


def changed_fields(before: DeploymentView, now: DeploymentView) -> tuple[str, ...]:
    """The paths in the pod template that differ, without images and without values: those may be anything."""
    paths = sorted(set(before.template) | set(now.template))
    changed = [path for path in paths if before.template.get(path) != now.template.get(path)]
    left = len(changed) - _SHOWN
    return (*changed[:_SHOWN], *((f"{left} more",) if left > 0 else ()))


def image_written_by_bot(deployment: DeploymentView, container: str) -> bool:
    """Whether nobody but the bot has written the container's image, as far as Kubernetes says; what it wrote, admission may have rewritten."""
    writers = [each for each in deployment.owners if container in each.containers]
    return bool(writers) and all(each.name == FIELD_MANAGER for each in writers)


def last_writer(deployment: DeploymentView) -> str:
    """Who else wrote the pod template last, in words: `kubectl-edit, 3 s ago`; empty where Kubernetes does not say."""
    others = [each for each in deployment.writers if each.name != FIELD_MANAGER]
    # times are in whole seconds: of two in the same one, the entry that stands later
    newest = max(enumerate(others), key=lambda each: (each[1].time, each[0]), default=(0, None))[1]
    if newest is None:
        return ""
    at = read_time(newest.time)
    return newest.name if at is None else f"{newest.name}, {age_since(at)} ago"
