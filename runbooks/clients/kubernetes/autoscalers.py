"""HorizontalPodAutoscalers: the view and how it is read from Kubernetes' JSON."""

from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, count, fields, listed, stamp, text
from runbooks.clients.kubernetes.listed_kinds import ListedKind

_ABLE = ("AbleToScale", "ScalingActive")
_AT_MOST = "TooManyReplicas"
"""Kubernetes' reason where the metrics ask for more than the maximum."""


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
    trouble_since: str = ""
    held_at_most: bool = False
    """Its metrics ask for more pods than its maximum."""
    held_since: str = ""
    drivers: tuple[str, ...] = ()
    """Its metrics that are over their target: `cpu at 140 % of the requests (target 70 %)`."""


def autoscaler(item: Json) -> AutoscalerView:
    """Return the autoscaler from Kubernetes' JSON."""
    meta, spec, status = fields(item, "metadata"), fields(item, "spec"), fields(item, "status")
    target = fields(spec, "scaleTargetRef")
    conditions = listed(status, "conditions")
    stopped = next(
        (each for each in conditions if text(each, "type") in _ABLE and text(each, "status") == "False"), None
    )
    limited = next((each for each in conditions if text(each, "type") == "ScalingLimited"), {})
    held = text(limited, "status") == "True" and text(limited, "reason") == _AT_MOST
    return AutoscalerView(
        name=text(meta, "name"),
        created=stamp(meta, "creationTimestamp"),
        target=f"{text(target, 'kind')}/{text(target, 'name')}",
        current=count(status, "currentReplicas"),
        least=count(spec, "minReplicas", 1),
        most=count(spec, "maxReplicas"),
        trouble=text(stopped, "reason") or text(stopped, "type") if stopped is not None else "",
        trouble_since=stamp(stopped, "lastTransitionTime") if stopped is not None else "",
        held_at_most=held,
        held_since=stamp(limited, "lastTransitionTime") if held else "",
        drivers=tuple(_drivers(listed(spec, "metrics"), listed(status, "currentMetrics"))),
    )


def _drivers(wanted: list[Json], measured: list[Json]) -> Iterator[str]:
    """Yield the metrics of which a share is over its target; of other kinds of values only their names are told."""
    known = {_name(each): each for each in measured}
    for each in wanted:
        name = _name(each)
        aim, now = (_share(side) for side in (each, known.get(name, {})))
        if aim and now > aim:
            yield f"{name} at {now} % of the requests (target {aim} %)"
        elif not aim and name:
            yield name


def _inside(metric: Json) -> Json:
    """Return what stands under its own kind: `resource`, `containerResource`, `pods`, `object`, `external`."""
    kind = text(metric, "type")
    return fields(metric, kind[:1].lower() + kind[1:])


def _name(metric: Json) -> str:
    inside = _inside(metric)
    return text(inside, "name") or text(fields(inside, "metric"), "name")


def _share(metric: Json) -> int:
    inside = _inside(metric)
    return count(fields(inside, "target"), "averageUtilization") or count(
        fields(inside, "current"), "averageUtilization"
    )


AUTOSCALERS = ListedKind(
    ("/apis/autoscaling/v2", "/apis/autoscaling/v1"),  # the first version tells no metrics or conditions
    "horizontalpodautoscalers",
    "autoscalers",
    autoscaler,
)
