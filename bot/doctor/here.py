"""Checks that need no other system: the configuration, files and their modes, people, roles and policies."""

import os
import pwd
import stat
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bot.config import Settings
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from bot.policy.permissions import PERMISSIONS
from bot.process.process_lock import holder
from commands.kit.policy import ApprovalPolicy, Risk, raised
from commands.kit.registry import Registry
from commands.kit.spec import Kind
from commands.kit.types import nearest
from runbooks.kit.plan import Unusual


async def configuration(path: Path, settings: Settings) -> AsyncGenerator[DoctorFinding]:
    """Check who can write to the configuration, because they control the bot."""
    yield fine(f"The configuration {path} is valid.")
    mode, owner = _mode(path), _owner(path)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield failed(
            f"Accounts other than its owner can write {path} ({mode:04o}): they could give themselves any role.",
            f"chmod go-w {path}",
        )
    elif owner not in (0, os.geteuid()):
        yield warning(
            f"{path} belongs to {_user(owner)}, who can decide who may do what.",
            f"Give it to root or to the bot's account: chown root {path}",
        )
    else:
        yield fine("Only its owner can write the configuration.")
    password = urlsplit(settings.bot.database_url or "").password
    if password and mode & stat.S_IROTH:
        yield failed(
            "bot.database_url contains a password, and everybody on this machine can read the file.",
            f"Use OMNICARE_DATABASE_URL instead, or chmod o-r {path}",
        )


async def files(settings: Settings) -> AsyncGenerator[DoctorFinding]:
    """Check the bot's own files: whoever can write to them can pose as the bot."""
    state = settings.bot.state
    if not state.exists():
        yield warning(
            f"{state} does not exist yet.",
            "The bot creates it when it starts, if it can write to the parent directory.",
        )
        return
    yield _private_file(state, "the bot's directory", 0o700)
    for name, about in (
        (settings.bot.audit_log_path.name, "the audit log"),
        ("engine.sqlite", "the engine's database"),
    ):
        if (state / name).exists():
            yield _private_file(state / name, about, 0o600)
    if (other := holder(state)) is not None:
        told = warning if other.foreground else fine
        yield told(
            f"A bot uses {state}: {other}.",
            *(["Press Ctrl-C there, once the real bot can start."] if other.foreground else []),
        )
    yield _socket(settings.bot.socket_path)
    if (logins := settings.bot.registry_auth) is not None:
        if logins.is_file():
            yield _private_file(logins, "the registry logins", 0o640)
        else:
            yield failed(f"{logins}, the registry logins, does not exist.", "Mount it, or correct bot.registry_auth.")


def _private_file(path: Path, about: str, wanted: int) -> DoctorFinding:
    mode, owner = _mode(path), _owner(path)
    if mode & ~wanted:
        return failed(f"{path} ({about}) is accessible to others: {mode:04o}.", f"chmod {wanted:o} {path}")
    if owner not in (0, os.geteuid()):
        return warning(
            f"{path} ({about}) belongs to {_user(owner)}, not to {_user(os.geteuid())}.",
            f"Run `omnicare doctor` as {_user(owner)}, the account that the bot runs as.",
        )
    return fine(f"{path} ({about}) is accessible to the bot only.")


def _socket(path: Path) -> DoctorFinding:
    directory = path.parent
    if not directory.exists():
        return warning(
            f"{directory}, the directory for the terminal's socket, does not exist yet.",
            "The bot creates it when it starts.",
        )
    if _mode(directory) & (stat.S_IWGRP | stat.S_IWOTH):
        return failed(
            f"Others can write to {directory}, which contains the terminal's socket: they could pose as the bot.",
            f"chmod go-w {directory}",
        )
    if not path.exists():
        return warning(f"No bot is running here: {path} does not exist.", "Start it with `omnicare serve`.")
    return fine(f"The terminal's socket is {path}.")


async def people(settings: Settings) -> AsyncGenerator[DoctorFinding]:
    """Find roles that nobody has, and people who can't be reached."""
    for key, role in settings.roles.items():
        holders = [person.name for person in settings.people.values() if key in person.roles]
        if holders:
            yield fine(f"Role {key}: {', '.join(holders)}.")
        elif role.group and any(environment.groups for environment in settings.environments.values()):
            yield warning(
                f"Nobody has role {key} directly; only user group {role.group} gives it to listed people.",
                f"Nothing, if this is intended. Otherwise add {key} to somebody's roles.",
            )
        else:
            yield failed(f"Nobody has role {key}.", f"Add {key} to somebody's roles, or remove the role.")
    for key, person in settings.people.items():
        if settings.slack.enabled and person.slack is None:
            yield warning(
                f"{person.name} has no Slack id.", f"Set people.{key}.slack; without it, they can use a terminal only."
            )
        if person.user is not None and not _exists(person.user):
            yield warning(
                f"{person.name}: this machine has no user {person.user}.",
                f"Correct people.{key}.user; until then, the terminal doesn't recognise them.",
            )
        if not person.roles:
            yield warning(f"{person.name} has no role, and may do nothing.", f"Add people.{key}.roles.")


async def policies(settings: Settings, registry: Registry) -> AsyncGenerator[DoctorFinding]:
    """For each environment, find unknown permissions, and policies that nobody, or only one person, could satisfy."""
    for name in settings.environments:
        for finding in (
            *_permissions(settings, name),
            *_approvals(settings, registry, name),
            *_overrides(settings, name),
        ):
            yield finding


def _permissions(settings: Settings, name: str) -> Iterator[DoctorFinding]:
    given = settings.environments[name].permissions
    for permission in given:
        if permission not in PERMISSIONS:
            meant = nearest(permission, PERMISSIONS)
            hint = f"Did you mean {meant}?" if meant else f"There are: {', '.join(PERMISSIONS)}."
            yield failed(f"{name}: there is no permission {permission}.", hint)
    usual = [permission for permission, known in PERMISSIONS.items() if not known.unusual]
    missing = [permission for permission in usual if not _holders(settings, name, permission)]
    if missing:
        yield warning(
            f"{name}: nobody has {', '.join(missing)}.",
            f"Nothing, if this is intended. Otherwise name a role in environments.{name}.permissions.",
        )
    else:
        yield fine(f"{name}: every permission is held by somebody.")


def _approvals(settings: Settings, registry: Registry, name: str) -> Iterator[DoctorFinding]:
    environment = settings.environments[name]
    operations = registry.of(Kind.OPERATION)
    for risk in sorted({spec.risk for spec in operations if spec.risk is not None}):
        names = ", ".join(spec.name for spec in operations if spec.risk is risk)
        policy = environment.approval.get(risk)
        if policy is None:
            yield warning(
                f"{name}: nothing {risk} can be approved ({names}).",
                f"Nothing, if this is intended. Otherwise add environments.{name}.approval.{risk}.",
            )
        else:
            yield _enough(settings, name, policy, f"{risk} ({names})")
    if environment.going_back is None:
        yield failed(
            f"{name}: nobody could confirm a rollback to the last known good release.",
            f"Add environments.{name}.going_back.",
        )
    else:
        yield _enough(settings, name, environment.going_back, "rollback")


def _overrides(settings: Settings, name: str) -> Iterator[DoctorFinding]:
    """Warn where somebody may override gates, and no such request could ever be approved."""
    environment = settings.environments[name]
    who, role = (
        _holders(settings, name, "gate:override"),
        environment.gates.override_role if environment.gates else None,
    )
    policy = raised(environment.approval.get(Risk.DISRUPTIVE), (Unusual(option="--override", what="", role=role),))
    if not who or policy is None:
        return
    approvers = _holders(settings, name, policy.permission)
    others = [[key for key in approvers if key != requester] for requester in who]
    if not any(
        len(each) >= policy.count
        and (not policy.one_of_role or any(policy.one_of_role in settings.people[key].roles for key in each))
        for each in others
    ):
        one = f", one of them with the role {policy.one_of_role}," if policy.one_of_role else ""
        yield warning(
            f"{name}: nobody who may override gates could get it approved: {policy.count} others{one} must approve.",
            f"Give more people the permission {policy.permission}, or gate:override to somebody else.",
        )


def _enough(settings: Settings, name: str, policy: ApprovalPolicy, what: str) -> DoctorFinding:
    """Check whether enough people have the policy's permission, without the requester."""
    holders = _holders(settings, name, policy.permission)
    shown = ", ".join(settings.people[key].name for key in holders)
    count = max(policy.count, 1)
    where = f"environments.{name}.permissions gives {policy.permission} to their roles"
    if len(holders) < count:
        return failed(
            f"{name}, {what}: {count} must approve, but only {shown or 'nobody'} could.",
            f"Give more people the role: {where}.",
        )
    special = [key for key in holders if policy.one_of_role in settings.people[key].roles]
    if policy.one_of_role and not special:
        return failed(
            f"{name}, {what}: one approver must have the role {policy.one_of_role}, and nobody who could approve has it.",
            f"Give it to somebody, or give it {policy.permission} in environments.{name}.permissions.",
        )
    if len(holders) == count and not policy.own:
        return failed(
            f"{name}, {what}: only {shown} could approve, and nobody may approve their own requests.",
            f"Give one more person the role: {where}.",
        )
    if len(holders) == count:
        return warning(f"{name}, {what}: only {shown} could confirm.", f"Give one more person the role: {where}.")
    return fine(f"{name}, {what}: {count} of {shown}.")


def _holders(settings: Settings, name: str, permission: str) -> list[str]:
    """Return the people with the permission, through their entries and, if enabled, through groups; never shared accounts."""
    allowed = set(settings.environments[name].permissions.get(permission, ()))
    return [key for key, person in settings.people.items() if allowed & set(person.roles) and not person.shared]


def _mode(path: Path) -> int:
    """Return the permission bits without the set-group-id bit, which Kubernetes sets on every directory of a volume."""
    return path.stat().st_mode & (stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)


def _owner(path: Path) -> int:
    return path.stat().st_uid


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
