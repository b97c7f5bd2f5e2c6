"""What a runbook acts on: environments and their services, as plain values.

The bot builds them from `omnicare.toml`; a test builds them by hand.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: equal by content, never changed, at home in JSON. Unknown fields are refused.

    What is wrong with a value is said without the value: it may be about a patient, or a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Service(Frozen):
    """One Deployment that is released: its name for people, and where it is."""

    name: str
    deployment: str
    container: str
    repository: str
    """The image's name without a tag, such as `ghcr.io/omnicare/backend`."""
    labels: dict[str, str] = {}
    """Not needed to find its pods (the Deployment's own selector does that); shown only."""
    kubernetes_service: str | None = None
    """The Kubernetes Service through which it is reached, where that has another name."""
    keeps: tuple[str, ...] = ()
    """Containers of its pods that have the same repository and stay as they are."""
    health_url: str | None = None
    """Asked when somebody has to know whether it serves."""
    surge_limit: int | None = None
    """The maximum number of its pods at once, old and new together, because each uses database connections.

    Setting it also vouches for the nodes' capacity if the bot has no access to nodes.
    """
    rest_at_once: bool = False
    """Whether a deploy starts all other pods at once as soon as a first new one is ready."""

    min_replicas: int = 3
    """The fewest pods that `scale` leaves it."""

    @property
    def through(self) -> str:
        """The Kubernetes Service whose endpoints serve it."""
        return self.kubernetes_service or self.name


class Region(Frozen):
    """One of several clusters in which an environment's services run."""

    name: str
    kubectl: str = "kubectl"
    """`kubectl` with what leads it to that cluster: `kubectl --context emr-us`."""
    aws_region: str | None = None
    bake_seconds: float = 0.0
    """How long a release runs there before the next region gets it."""
    maintenance: str = ""
    """Why a deploy leaves it out now; empty where it does not."""


class NamedScript(Frozen):
    """A script that may be run, as it is told to people."""

    about: str = ""
    choices: tuple[str, ...] = ()
    """What may be typed behind its name; nothing where that is empty."""
    changes: bool = True


class Environment(Frozen):
    """A place where the services run."""

    name: str
    namespace: str
    record_namespace: str
    """The bot's own namespace, where the fleet's record (releases, lock, run) is kept as ConfigMaps."""
    services: tuple[Service, ...]
    """In the order in which they are rolled out."""
    compare_url: str | None = None
    """A template with `{before}` and `{after}`, such as a forge's page that compares two tags."""
    on_failure: Literal["ask", "rollback"] = "ask"
    """What follows a deploy that failed."""
    lock_after_rollback: bool = False
    """Whether a rollback locks it until somebody unlocks it."""
    call: str | None = None
    """Whom to call when going back fails, for people."""
    contacts: tuple[str, ...] = ()
    """Teams and how to reach them, for the sheet for a bad night."""
    sheet_in_thread: bool = False
    """Whether a deploy's thread gets the sheet as a file."""
    regions: tuple[Region, ...] = ()
    """In the order in which a release reaches them; none where there is one cluster only."""
    scripts: dict[str, NamedScript] = {}
    """The scripts that `run` may run, by name."""
    home: str = ""
    """The region whose cluster has the fleet's record."""
    region: str = ""
    """The region that this value is about; empty: all of it."""

    def within(self, region: str) -> "Environment":
        """Return the environment as it is in that region. A health URL is asked in the home region only, because it leads to any of them."""
        if not region:
            return self
        asked = region == self.home
        services = tuple(each if asked else each.model_copy(update={"health_url": None}) for each in self.services)
        return self.model_copy(update={"region": region, "services": services})

    @property
    def shown(self) -> str:
        """`production`, or `production (us)` where it is about one region."""
        return f"{self.name} ({self.region})" if self.region else self.name

    @property
    def kubectl(self) -> str:
        """`kubectl` as a person types it for the region that this value is about, or for the home region."""
        about = self.region or self.home
        return next((each.kubectl for each in self.regions if each.name == about), "kubectl")

    def service(self, name: str) -> Service | None:
        """The service of that name, or None."""
        return next((service for service in self.services if service.name == name), None)
