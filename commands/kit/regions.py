"""Regions, as commands take them (`--regions eu`) and tell of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated

from commands.kit.card import Code, Text, words
from commands.kit.context import Context
from commands.kit.types import Invalid, Known, nearest
from runbooks.deployments.places import Place, named
from runbooks.deployments.service_state import ServiceState
from runbooks.fleet.fleet import KnownReleases
from runbooks.release.last_good import bad_versions
from runbooks.wording import cited, listed


class RegionsType:
    """One or more regions: `eu`, `eu,us`. Kept as it is typed again."""

    name = "regions"
    example = "eu"

    def parse(self, text: str, known: Known) -> str:
        """Return the names with commas between them, each once."""
        names = list(dict.fromkeys(text.lower().replace(",", " ").split()))
        if not known.regions:
            raise Invalid("No environment has regions here. Leave it out.")
        if not names:
            raise Invalid(f"The region's name is missing. There are: {listed(known.regions)}.")
        for name in names:
            if name not in known.regions:
                meant = nearest(name, known.regions)
                hint = f"Did you mean `{meant}`?" if meant else f"There are: {listed(known.regions)}."
                raise Invalid(f"There is no region {cited(name)}. {hint}")
        return ",".join(names)

    def suggestions(self, known: Known) -> tuple[str, ...]:
        """Return the configured regions."""
        return known.regions


class RegionType(RegionsType):
    """One region."""

    name = "region"

    def parse(self, text: str, known: Known) -> str:
        """Return its name."""
        names = super().parse(text, known)
        if "," in names:
            raise Invalid("Name one region.")
        return names


RegionName = Annotated[str, RegionType()]
RegionNames = Annotated[str, RegionsType()]


def names_of(regions: str | None) -> tuple[str, ...]:
    """Return the names that were typed; none where the option was left out."""
    return tuple(regions.split(",")) if regions else ()


async def lines_of(
    context: Context, regions: str | None, lines: Callable[[Place], tuple[str, ...] | Awaitable[tuple[str, ...]]]
) -> tuple[str, ...]:
    """Return the lines for these regions, or for all of them, in their order."""
    found: list[str] = []
    for place in named(context.places, names_of(regions)):
        made = lines(place)
        found += made if isinstance(made, tuple) else await made
    return tuple(found)


def side_by_side(said: Mapping[str, str]) -> tuple[str, bool]:
    """Return what runs in each region, in words, and whether the regions run different versions."""
    if len(set(said.values())) < 2:  # noqa: PLR2004 - the same everywhere
        return next(iter(said.values()), ""), False
    return listed(f"{each} in {region}" for region, each in said.items()), True


def not_gone_back(running: Mapping[str, Sequence[ServiceState]], known: KnownReleases | None) -> tuple[str, ...]:
    """Return the regions that still run a version that another region went back from."""
    bad = bad_versions(known.releases) if known is not None else frozenset()
    still = [region for region, own in running.items() if any(s.image is not None and s.image.tag in bad for s in own)]
    return tuple(still) if len(still) < len(running) else ()


def told(context: Context, known: KnownReleases | None) -> Text | None:
    """Name each region, why deploys leave one out, and how one catches up that the newest release did not reach."""
    last = next(iter(known.releases), None) if known is not None else None
    spans: list[str | Code] = []
    for each in context.where.regions:
        notes = [each.aws_region or "", "home" if each.name == context.where.home else ""]
        notes += [f"in maintenance: {each.maintenance}"] if each.maintenance else []
        said = ", ".join(filter(None, notes))
        spans += ["; " if spans else "", each.name, f" ({said})" if said else ""]
        if last is not None and last.verdict == "good" and not last.reached(each.name) and not each.maintenance:
            spans += [" catches up with ", Code(text=f"deploy {last.version} --regions {each.name}")]
    return words(*(span for span in spans if span)) if spans else None
