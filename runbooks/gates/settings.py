"""The table `[environments.NAME.gates]`: which gates there are, and their limits."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, StringConstraints, field_validator, model_validator

from runbooks.kit.minutes import Minutes, calendar_of
from runbooks.kit.patterns import compiled
from runbooks.kit.targets import Frozen

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class WindowSettings(Frozen):
    """When nothing may start. Each entry is a cron expression of five fields; every minute that it matches counts."""

    zone: str = "UTC"
    """The time zone of the expressions, such as `America/New_York`."""
    frozen: tuple[str, ...] = ()
    """Minutes in which nothing starts: `"* 7-18 * * MON-FRI"` is a working day. Always stronger than `allowed`."""
    allowed: tuple[str, ...] = ()
    """If given, something starts only in these minutes."""
    holidays: str | None = None
    """A country (`US`), or a country and its part (`US-CA`), on whose public holidays nothing starts."""

    @field_validator("zone")
    @classmethod
    def _a_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("must be a time zone of the tz database, such as Europe/Berlin")
        return name

    @field_validator("frozen", "allowed")
    @classmethod
    def _expressions(cls, expressions: tuple[str, ...]) -> tuple[str, ...]:
        for each in expressions:
            Minutes(each)
        return expressions

    @field_validator("holidays")
    @classmethod
    def _a_country(cls, place: str | None) -> str | None:
        if place is not None:
            calendar_of(place)
        return place

    @property
    def clock(self) -> ZoneInfo:
        """Return the zone."""
        return ZoneInfo(self.zone)


class BacklogSettings(Frozen):
    """Limits for offline sync items that are pending when a deploy starts."""

    large: int = Field(default=500, ge=0)
    """The plan warns about more pending items than this."""
    growth: int = Field(default=1, ge=1)
    """The gate fails if a larger backlog grows by this many items between two counts."""
    seconds: float = Field(default=3.0, ge=0, le=8)
    """Time between the two counts."""


class ProvenanceSettings(Frozen):
    """How the gate `provenance` knows where the images were built: by a check that verified it, or by GitHub's attestations of their digests, whose
    signatures the bot does not verify.
    """

    check: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """The check run or status that verified the provenance, such as one that runs `gh attestation verify`. Without it, GitHub's attestations count."""
    workflow: Annotated[str, StringConstraints(pattern=r"^\.github/workflows/[A-Za-z0-9._-]{1,100}$")] | None = None
    """The only workflow that may have built the images: `.github/workflows/images.yml`."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "ProvenanceSettings":
        if self.check is not None and self.workflow is not None:
            raise ValueError("`workflow` is compared with GitHub's attestations, so it can't stand beside `check`")
        return self


class CodeSettings(Frozen):
    """What GitHub must say about the release's commit. Needs the table `github`."""

    checks: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = ()
    """Check runs or statuses that must have passed, each a gate `check:NAME`, such as `["CI", "Snyk", "CodeQL"]`. Without any, all of the
    commit's checks must have passed."""
    coverage: str | None = None
    """The check that must have passed, and whose title or summary contains the test coverage as its only percentage."""
    coverage_pattern: str | None = None
    """If it contains several: a regular expression (RE2) whose one group is the number, such as `project (\\d+\\.?\\d*)%`."""
    coverage_percent: float = Field(default=80.0, ge=0, lt=100)
    """The coverage must be more than this."""
    branch: bool = True
    """Whether the commit must be on the protected branch."""
    code_scanning: bool = True
    """Whether code scanning must have no open alert of severity critical."""
    release: bool = True
    """Whether the version must have a published release with notes."""
    revision: bool = True
    """Whether every image must name the commit in its label `org.opencontainers.image.revision`."""
    provenance: ProvenanceSettings | None = None

    @field_validator("coverage_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None and compiled(pattern).groups != 1:
            raise ValueError("must have exactly one group, around the number: `project (\\d+)%`")
        return pattern

    def keys(self) -> tuple[str, ...]:
        """Return the names of the gates."""
        return (
            "tag",
            *(("branch",) if self.branch else ()),
            *(tuple(map(check_key, self.checks)) or ("checks",)),
            *(("coverage",) if self.coverage is not None else ()),
            *(("code-scanning",) if self.code_scanning else ()),
            *(("release",) if self.release else ()),
            *(("revision",) if self.revision else ()),
            *(("provenance",) if self.provenance is not None else ()),
        )


def check_key(check: str) -> str:
    """Return the name of a named check's gate."""
    return f"check:{check}"


class SignatureSettings(Frozen):
    """What a named person signs for a version with `sign VERSION NAME`, because no API can prove it."""

    name: Name
    """The name that is typed: `api-documentation`."""
    text: str = Field(min_length=1, max_length=150)
    """What is signed, for people: `API documentation updated`."""
    max_age_hours: float = Field(default=72.0, gt=0, allow_inf_nan=False)
    """How long a signature is valid."""
    role: Name | None = None
    """The role that may give it; it needs the permission `gate:sign`. Without it everybody with that permission may."""

    @property
    def key(self) -> str:
        """The name of the gate."""
        return f"signature:{self.name}"


class GateSettings(Frozen):
    """The gates of an environment. A required gate that has not passed stops a deploy before anybody is asked to approve it."""

    seconds: float = Field(default=8.0, gt=0, le=15)
    """Time limit for each gate."""
    advisory: tuple[str, ...] = ()
    """Gates that only warn, by their names in the plan's table, such as `sync`."""
    code: CodeSettings | None = None
    """Needs the table `github`."""
    images: bool = True
    """Whether the registry must still have each image under the plan's digest."""
    promoted_from: Name | None = None
    """The environment in which the same digests must have become a good release that passed its verification, such as `staging`."""
    unverified: Literal["warn", "refuse"] = "warn"
    """What follows where `promoted_from` has no table `verification`: the plan warns, or the gate does not pass."""
    backups: tuple[Literal["snapshot", "configuration-backup", "restore"], ...] = ()
    """Which backups must be good: the newest snapshot, the backup of the configuration, a proved restore. Needs the table `backups`."""
    windows: WindowSettings | None = None
    sync: BacklogSettings | None = None
    """Needs the table `sync`."""

    signatures: tuple[SignatureSettings, ...] = ()
    """What people sign, each a gate `signature:NAME`."""
    override_role: Name | None = None
    """Where gates are overridden, one of the approvers must have this role. An override needs the permission `gate:override` and one more approval in any case."""

    def keys(self) -> tuple[str, ...]:
        """Return the names of the gates that there are."""
        return (
            *(self.code.keys() if self.code else ()),
            *(("images",) if self.images else ()),
            *(("promotion",) if self.promoted_from else ()),
            *self.backups,
            *(("time",) if self.windows else ()),
            *(("sync",) if self.sync else ()),
            *(each.key for each in self.signatures),
        )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "GateSettings":
        names = [each.name for each in self.signatures]
        if len(set(names)) < len(names):
            raise ValueError("signatures: two have the same name")
        return self

    @model_validator(mode="after")
    def _advisory_gates_exist(self) -> "GateSettings":
        if unknown := [each for each in self.advisory if each not in self.keys()]:
            raise ValueError(f"advisory: there is no gate `{unknown[0]}`; there are {', '.join(self.keys()) or 'none'}")
        return self
