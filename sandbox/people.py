"""The people and channels that every sandbox begins with, and what each may do: the data of its workspace and configuration."""

from sandbox.slack.model import Channel, Person
from sandbox.slack.workspace import Workspace

PEOPLE = (
    Person("U0MAYA", "maya", "Maya Lindqvist", "Release manager"),
    Person("U0TOMAS", "tomas", "Tomas Okafor", "Approver"),
    Person("U0INES", "ines", "Ines Moreau", "On-call"),
    Person("U0DANA", "dana", "Dana Petrov", "DBA"),
    Person("U0NOOR", "noor", "Noor Haddad", "Auditor"),
    Person("U0ELI", "eli", "Eli Brandt", "Outsider"),
)

ROLES = {
    "maya": ("release-manager",),
    "tomas": ("release-approver",),
    "ines": ("on-call", "release-approver"),
    "dana": ("dba",),
    "noor": ("auditor",),
}
"""Eli has none: he is not listed at all."""

DEPLOYS, INCIDENTS, GENERAL, STAGING = "C0DEPLOYS", "C0INCIDENTS", "C0GENERAL", "C0STAGING"

CHANNELS = (
    Channel(DEPLOYS, "deploys", "Releases to production; commands here mean production"),
    Channel(INCIDENTS, "incidents", "When something is wrong; commands here mean production"),
    Channel(GENERAL, "general", "Everything else; OmniCare is not in here"),
    Channel(STAGING, "staging", "Commands here go to staging"),
)


def furnish(workspace: Workspace) -> None:
    """Everybody is in every channel; the app is in all but #general."""
    for person in PEOPLE:
        workspace.add_person(person)
    everybody = {person.id for person in PEOPLE}
    for channel in CHANNELS:
        bot = set() if channel.id == GENERAL else {workspace.app.user_id}
        fresh = Channel(channel.id, channel.name, channel.topic, members=everybody | bot)
        workspace.add_channel(fresh)
