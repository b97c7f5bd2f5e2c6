"""The doctor: finds what is wrong, says what to do, hides nothing behind a check that hangs."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.audit import AuditLog, Event, EventName
from bot.config import Settings, load, validate
from bot.doctor import audit_log, here, outside, storage
from bot.doctor.access import NEEDED, Where, rules
from bot.doctor.examination import checks, examine
from bot.doctor.findings import DoctorCheck, DoctorFinding, Severity, failed, findings, fine
from commands.kit import registry
from runbooks.redaction.redactor import default_redactor
from sandbox import configuration
from sandbox.aws import Aws
from sandbox.aws_services import BACKUPS, REGION, Rds
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import DEPLOYMENT
from sandbox.cluster.settings import Settings as ClusterSettings
from sandbox.outside.registry import Registry

NAMESPACES = {"production": "omnicare-prod"}


async def all_of(looked: AsyncGenerator[DoctorFinding]) -> list[DoctorFinding]:
    return [finding async for finding in looked]


def worst(found: list[DoctorFinding]) -> list[DoctorFinding]:
    return [finding for finding in found if finding.level is not Severity.FINE]


def settings(**changes: Any) -> Settings:
    people = {
        "requester": {"name": "Rita", "slack": "U1", "roles": ["manager"]},
        "approver": {"name": "Ada", "slack": "U2", "roles": ["approver"]},
        "second": {"name": "Sol", "slack": "U3", "roles": ["approver"]},
    }
    environment = {
        "namespace": "prod",
        "services": [{"name": "backend", "repository": "ghcr.io/omnicare/backend"}],
        "permissions": {
            "fleet:read": ["manager", "approver"], "logs:read": ["manager"], "rollout:write": ["manager"],
            "rollout:approve": ["approver"], "rollout:back": ["manager", "approver"], "run:cancel": ["approver"],
            "rollout:go": ["approver"],
            "lock:write": ["manager"], "audit:read": ["approver"], "database:read": ["manager"], "sync:read": ["manager"], "sync:write": ["manager"],
            "data:approve": ["manager", "approver"], "database:restore": ["manager"],
        },
        "approval": {
            "disruptive": {"count": 1, "permission": "rollout:approve"},
            "reversible": {"count": 1, "permission": "data:approve"},
            "destructive": {"count": 2, "permission": "data:approve"},
        },
        "going_back": {"count": 1, "permission": "rollout:back", "own": True},
    }  # fmt: skip
    raw: dict[str, Any] = {
        "people": people,
        "roles": {"manager": {"about": "asks"}, "approver": {"about": "approves"}},
        "environments": {"production": environment},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return validate(raw)


# how checks are run


async def test_findings_are_told_in_order_and_as_soon_as_they_can_be() -> None:
    release = asyncio.Event()

    async def slow() -> AsyncGenerator[DoctorFinding]:
        yield fine("first")
        await release.wait()
        yield fine("second")

    async def quick() -> AsyncGenerator[DoctorFinding]:
        yield fine("third")
        release.set()

    told = [
        finding.sentence
        async for finding in findings(
            [DoctorCheck(subject="slow", look=slow), DoctorCheck(subject="quick", look=quick)]
        )
    ]
    # the second check had to run for the first one to end: they stand side by side
    assert told == ["first", "second", "third"]


async def test_a_check_that_hangs_or_breaks_is_a_failure_and_takes_no_other_with_it() -> None:
    async def hang() -> AsyncGenerator[DoctorFinding]:
        yield fine("began")
        await asyncio.Event().wait()

    async def crash() -> AsyncGenerator[DoctorFinding]:
        yield fine("began")
        raise RuntimeError("hunter2")

    async def good() -> AsyncGenerator[DoctorFinding]:
        yield fine("good")

    told = await all_of(
        findings(
            [
                DoctorCheck(subject="Cluster", look=hang, seconds=0.1),
                DoctorCheck(subject="Slack", look=crash),
                DoctorCheck(subject="Clock", look=good),
            ]
        )
    )
    assert [finding.level for finding in told] == ["fine", "failed", "fine", "failed", "fine"]
    assert "Cluster: no answer within 0.1 s" in told[1].sentence
    assert "hunter2" not in told[3].sentence


# here


async def test_a_configuration_that_others_may_write_fails(tmp_path: Path) -> None:
    path = tmp_path / "omnicare.toml"
    path.touch()
    path.chmod(0o664)
    (finding,) = worst(await all_of(here.configuration(path, settings())))
    assert finding.level is Severity.FAILED
    assert finding.to_do == f"chmod go-w {path}"
    path.chmod(0o640)
    assert worst(await all_of(here.configuration(path, settings()))) == []


async def test_a_password_in_a_file_that_everybody_reads_fails(tmp_path: Path) -> None:
    path = tmp_path / "omnicare.toml"
    path.touch()
    path.chmod(0o644)
    with_password = settings(bot__database_url="postgresql://bot:hunter2@db/omnicare")
    (finding,) = worst(await all_of(here.configuration(path, with_password)))
    assert finding.level is Severity.FAILED
    assert "hunter2" not in finding.sentence + finding.to_do


async def test_files_that_others_may_open_fail(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    (state / "audit.sqlite").touch(mode=0o644)
    (state / "engine.sqlite").touch(mode=0o600)
    (state / "run").mkdir(mode=0o777)
    (state / "run").chmod(0o777)
    state.chmod(0o755)
    found = await all_of(here.files(settings(bot__state=str(state))))
    assert [(finding.level, finding.to_do) for finding in worst(found)] == [
        (Severity.FAILED, f"chmod 700 {state}"),
        (Severity.FAILED, f"chmod 600 {state / 'audit.sqlite'}"),
        (Severity.FAILED, f"chmod go-w {state / 'run'}"),
    ]


async def test_a_role_that_names_nobody_fails() -> None:
    (finding,) = worst(await all_of(here.people(settings(roles__dba={"about": "databases"}))))
    assert finding.level is Severity.FAILED
    assert "Nobody has role dba" in finding.sentence


async def test_a_role_that_a_user_group_gives_is_only_mentioned() -> None:
    changed = settings(roles__dba={"about": "databases", "group": "S1"}, environments__production__groups=True)
    (finding,) = worst(await all_of(here.people(changed)))
    assert finding.level is Severity.WARNING


async def test_people_who_can_not_be_reached_are_mentioned() -> None:
    changed = settings(people__requester={"name": "Rita", "user": "nobody-of-that-name", "roles": ["manager"]})
    told = [finding.sentence for finding in worst(await all_of(here.people(changed)))]
    assert told == ["Rita has no Slack id.", "Rita: this machine has no user nobody-of-that-name."]


async def policies(changed: Settings) -> list[DoctorFinding]:
    return worst(await all_of(here.policies(changed, registry.load())))


async def test_policies_that_enough_people_can_satisfy_are_fine() -> None:
    assert await policies(settings()) == []


async def test_a_policy_that_nobody_but_one_person_could_approve_fails() -> None:
    (finding,) = await policies(settings(people__second={"name": "Sol", "slack": "U3", "roles": ["manager"]}))
    assert finding.level is Severity.FAILED
    assert "only Ada could approve" in finding.sentence
    assert "rollout:approve" in finding.to_do


async def test_a_policy_that_nobody_could_approve_fails() -> None:
    (finding,) = await policies(
        settings(environments__production__approval__disruptive={"count": 3, "permission": "rollout:approve"})
    )
    assert finding.level is Severity.FAILED
    assert "3 must approve, but only Ada, Sol could" in finding.sentence


async def test_an_account_that_people_share_approves_nothing() -> None:
    changed = settings(people__second={"name": "Sol", "slack": "U3", "roles": ["approver"], "shared": True})
    two, one = await policies(changed)
    assert "destructive" in two.sentence
    assert "only Rita, Ada could approve" in two.sentence
    assert "only Ada could approve" in one.sentence


async def test_a_permission_that_does_not_exist_fails_with_the_one_that_was_meant() -> None:
    found = await policies(settings(environments__production__permissions__rollout_write=["manager"]))
    assert found[0].level is Severity.FAILED
    assert found[0].to_do == "Did you mean rollout:write?"


async def test_where_nobody_may_confirm_going_back_it_fails() -> None:
    (finding,) = await policies(settings(environments__production__going_back=None))
    assert finding.level is Severity.FAILED
    assert "rollback" in finding.sentence


# outside: the sandbox's real servers


@pytest.fixture
async def images() -> AsyncIterator[str]:
    async with Registry().serve() as address:
        yield address


async def written(folder: Path, kubeconfig: str, images: str, **tables: dict[str, Any]) -> Path:
    account = folder / "kubeconfig"
    account.write_text(kubeconfig)
    return configuration.write(
        folder, kubeconfig=account, slack_api=None, registry=images, namespaces=NAMESPACES, train={"production": tables}
    )


async def test_a_whole_world_has_nothing_that_failed(
    tmp_path: Path, images: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        path = await written(tmp_path, cluster.kubeconfig("omnicare-bot"), images)
        found = await all_of(findings(checks(path, load(path))))
        status = await asyncio.to_thread(examine, path, as_json=True)
    assert [finding.sentence for finding in found if finding.level is Severity.FAILED] == []
    sentences = [finding.sentence for finding in found]
    assert any(sentence.startswith("production: the cluster at https://127.0.0.1") for sentence in sentences)
    assert "production: the bot can patch deployments.apps in omnicare-prod." in sentences
    assert "production: backend is backend/backend." in sentences
    assert any(sentence.startswith("ghcr.io/omnicare/backend: ") for sentence in sentences)
    assert any("clock agrees" in sentence for sentence in sentences)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0
    assert [each["sentence"] for each in told if each["level"] == "failed"] == []
    assert len(told) == len(found)


async def test_each_permission_that_the_bot_lacks_is_named_with_its_reason(tmp_path: Path, images: str) -> None:
    cluster = Cluster(_poorer(ClusterSettings()))
    seed_omnicare(cluster)
    async with cluster.serve():
        account = cluster.kubeconfig("omnicare-bot")
        path = await written(tmp_path, account, images)
        found = worst(await all_of(outside.cluster(load(path), "production")))
        path = await written(
            tmp_path, account, images, github={"repository": "a/b", "api_url": images}, manifests={"paths": ["a.yaml"]}
        )
        more = worst(await all_of(outside.cluster(load(path), "production")))
    assert {finding.level for finding in found} == {Severity.FAILED}
    (maps,) = more[len(found) :]
    assert "patch configmaps" in maps.sentence
    assert "omnicare-bot-configuration" in maps.to_do
    (patch,) = [finding for finding in found if "patch deployments.apps" in finding.sentence]
    assert "Change the image" in patch.sentence
    assert "kubectl auth can-i patch deployments.apps -n omnicare-prod" in patch.to_do
    assert "omnicare-bot-services" in patch.to_do
    assert len(found) == 2, "and one for the Secret of `rotations`"


def _poorer(whole: ClusterSettings) -> ClusterSettings:
    """The same cluster, where the bot may not patch."""
    users = tuple(
        replace(
            user, rules=tuple(replace(rule, verbs=tuple(v for v in rule.verbs if v != "patch")) for rule in user.rules)
        )
        if user.name == "omnicare-bot" or user.name.endswith(":omnicare-bot")
        else user
        for user in whole.users
    )
    return replace(whole, users=users)


async def test_a_deployment_or_container_that_is_not_there_fails(tmp_path: Path, images: str) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        path = await written(tmp_path, cluster.kubeconfig("omnicare-bot"), images)
        text = path.read_text()
        text = text.replace('"name" = "backend"', '"name" = "backend", "deployment" = "nothing"')
        text = text.replace('"name" = "frontend"', '"name" = "frontend", "container" = "sidecar"')
        path.write_text(text)
        found = worst(await all_of(outside.cluster(load(path), "production")))
    assert [finding.level for finding in found] == [Severity.FAILED, Severity.FAILED]
    assert "omnicare-prod/nothing" in found[0].sentence
    assert "no container sidecar; it has frontend" in found[1].sentence


async def test_who_would_put_a_deployment_back_is_named(tmp_path: Path, images: str) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    argo = {"argocd.argoproj.io/tracking-id": "emr:apps/Deployment:omnicare-prod/backend"}
    for name, kind, mark in (
        ("backend", "annotations", argo),
        ("frontend", "labels", {"helm.toolkit.fluxcd.io/name": "emr"}),
    ):
        found = cluster.store.get(DEPLOYMENT, "omnicare-prod", name)
        assert found is not None
        draft = json.loads(json.dumps(found))
        draft["metadata"][kind] = draft["metadata"].get(kind, {}) | mark
        cluster.api.update(DEPLOYMENT, "omnicare-prod", name, draft, Writer("gitops"))
    async with cluster.serve():
        path = await written(tmp_path, cluster.kubeconfig("omnicare-bot"), images)
        found_out = await all_of(outside.cluster(load(path), "production"))
    owned = [each for each in worst(found_out) if "owns the Deployment" in each.sentence]
    assert [each.level for each in owned] == [Severity.WARNING, Severity.WARNING]
    assert "backend: Argo CD owns" in owned[0].sentence
    assert "frontend: Flux owns" in owned[1].sentence
    assert all("would revert" in each.sentence and each.to_do for each in owned)


async def test_a_cluster_that_does_not_answer_fails_by_itself(tmp_path: Path, images: str) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        path = await written(tmp_path, cluster.kubeconfig("omnicare-bot"), images)
    found = await all_of(
        findings([DoctorCheck(subject="Cluster", look=partial(outside.cluster, load(path), "production"))])
    )
    assert [finding.level for finding in found] == [Severity.FAILED]
    assert "can't be reached" in found[0].sentence


async def test_an_audit_log_that_was_edited_fails(tmp_path: Path) -> None:
    import sqlite3
    from datetime import UTC, datetime

    changed = settings(bot__state=str(tmp_path))
    async with AuditLog.open(changed.bot.audit_log_path, name="omnicare-0", redactor=default_redactor()) as trail:
        await trail.append(Event(id="1", name=EventName.BOT_STARTED, at=datetime.now(UTC)))
    whole = await all_of(audit_log.tail(changed))
    assert Severity.FAILED not in {finding.level for finding in whole}
    with sqlite3.connect(changed.bot.audit_log_path) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{trigger}"')
        connection.execute("UPDATE event SET data = replace(data, 'bot:started', 'bot:stopped')")
    told = [finding.sentence for finding in await all_of(audit_log.tail(changed)) if finding.level is Severity.FAILED]
    assert any("event 1 was edited" in sentence.lower() for sentence in told)


# the table


def test_the_roles_rules_are_the_table_and_nothing_more() -> None:
    for where in Where:
        listed = {
            (group, resource, verb)
            for rule in rules(where)
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        wanted = {
            (each.group, f"{each.resource}/{each.subresource}" if each.subresource else each.resource, each.verb)
            for each in NEEDED
            if each.where is where
        }
        assert listed == wanted


def test_a_finding_that_is_not_fine_says_what_to_do() -> None:
    assert failed("It is broken.", "Mend it.").to_do
    assert fine("It works.").to_do == ""


def test_a_configuration_that_can_not_be_read_is_the_one_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert examine(tmp_path / "none.toml", as_json=False) == 1
    out = capsys.readouterr().out
    assert "✗ There is no configuration at" in out
    assert "1 checked: 1 failed" in out


# the bucket for exports


async def test_a_sandboxs_slack_is_no_failure_of_somebody_without_its_tokens() -> None:
    found = await all_of(
        outside.slack(settings(bot__sandbox=True, slack__enabled=True, slack__api_url="http://127.0.0.1:1/api/"))
    )
    assert [finding.level for finding in found] == [Severity.WARNING]
    assert "sandbox" in found[0].sentence


def keeping(url: str, bucket: str = "omnicare-exports", **more: object) -> Settings:
    exports = {"bucket": bucket, "region": "us-east-1", "endpoint": url, **more}
    return settings(
        bot__sandbox=True,
        slack__enabled=False,
        environments__production__sync={},
        environments__production__exports=exports,
    )


async def test_backups_that_can_be_seen_are_told_with_their_age_and_what_is_missing_with_what_to_do() -> None:
    def looking(url: str, instance: str) -> Settings:
        where = {"instance": instance, "region": REGION, "endpoint": url, "bucket": BACKUPS, "prefix": "config/"}
        return settings(
            bot__sandbox=True, slack__api_url="http://127.0.0.1:1/", environments__production__backups=where
        )

    aws, rds = Aws(), Rds()
    aws.services.append(rds)
    async with aws.serve() as url:
        found = await all_of(storage.backups(looking(url, "omnicare-prod"), "production"))
        assert [each.level for each in found] == [Severity.FINE, Severity.FINE]
        assert "3 h old, encrypted, available" in found[0].sentence
        for each in rds.snapshots.values():
            each.encrypted = False
        warned, _ = await all_of(storage.backups(looking(url, "omnicare-prod"), "production"))
        (absent,) = await all_of(storage.backups(looking(url, "nothing-here"), "production"))
    assert (warned.level, absent.level) == (Severity.WARNING, Severity.FAILED)
    assert "`instance`" in absent.to_do


async def test_the_bucket_for_exports_is_there_encrypted_and_versioned() -> None:
    async with Aws().serve() as url:
        found = await all_of(storage.exports(keeping(url), "production"))
        assert [finding.level for finding in found] == [Severity.FINE] * 3
        (absent,) = worst(await all_of(storage.exports(keeping(url, "nothing-here"), "production")))
        assert "nothing-here" in absent.sentence
        (unlocked,) = worst(await all_of(storage.exports(keeping(url, lock_days=30), "production")))
        assert "Object Lock" in unlocked.sentence


async def test_the_bucket_for_the_audit_trails_heads_is_looked_at_and_should_lock() -> None:
    async with Aws().serve() as url:
        bucket = {"bucket": "omnicare-exports", "region": "us-east-1", "endpoint": url}
        base: dict[str, object] = {"bot__sandbox": True, "slack__enabled": False}
        (open_to_all,) = worst(await all_of(storage.heads(settings(**base, bot__audit_bucket=bucket))))
        assert "not locked" in open_to_all.sentence
        (unlocked,) = worst(
            await all_of(storage.heads(settings(**base, bot__audit_bucket={**bucket, "lock_days": 30})))
        )
        assert "has Object Lock" in unlocked.sentence
    assert await all_of(storage.heads(settings())) == []


async def test_without_a_bucket_it_says_that_nothing_can_be_cleared() -> None:
    (found,) = await all_of(storage.exports(settings(environments__production__sync={}), "production"))
    assert (found.level, "sync clear-failed" in found.sentence) == (Severity.WARNING, True)
    assert await all_of(storage.exports(settings(), "production")) == []
