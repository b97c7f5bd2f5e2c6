"""HorizontalPodAutoscalers: the view and how it is read from Kubernetes' JSON."""

from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, count, fields, listed, stamp, text

_ABLE = ("AbleToScale", "ScalingActive")


@dataclass(frozen=True, slots=True)
class AutoscalerView:
    """A HorizontalPodAutoscaler."""

    name: str
    created: str
    target: str
    """What it scales: `Deployment/backend`."""
    current: int
    least: int
    most: int
    trouble: str
    """Why it can't scale, in Kubernetes' word (`FailedGetResourceMetric`); empty where it can."""


def autoscaler(item: Json) -> AutoscalerView:
    """Return the autoscaler from Kubernetes' JSON."""
    meta, spec, status = fields(item, "metadata"), fields(item, "spec"), fields(item, "status")
    target = fields(spec, "scaleTargetRef")
    conditions = listed(status, "conditions")
    stopped = [each for each in conditions if text(each, "type") in _ABLE and text(each, "status") == "False"]
    return AutoscalerView(
        name=text(meta, "name"),
        created=stamp(meta, "creationTimestamp"),
        target=f"{text(target, 'kind')}/{text(target, 'name')}",
        current=count(status, "currentReplicas"),
        least=count(spec, "minReplicas", 1),
        most=count(spec, "maxReplicas"),
        trouble=next((text(each, "reason") or text(each, "type") for each in stopped), ""),
    )
