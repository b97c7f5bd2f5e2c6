"""`certs`: the certificates of an environment, the soonest to expire first."""

from collections.abc import Sequence

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Table,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.certificates.looking import Certificates, FoundCertificate, in_days, look, renewed
from runbooks.certificates.settings import CertificateSettings
from runbooks.deployments.places import named
from runbooks.observe import by_hand
from runbooks.wording import by_count, counted

_MOST = 40
_TOLD = 6


class Certs(Observation):
    """Show when certificates expire: what hosts serve, TLS Secrets, and cert-manager's Certificates. The soonest first."""

    meta = QueryMeta(permission="fleet:read", examples=["", "--env staging"])

    region: RegionName | None = option("only this region's Secrets and Certificates; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        settings = context.find(CertificateSettings) or CertificateSettings()
        found = await lines_of(
            context, self.region, lambda place: by_hand.certificates(place.environment, settings.secrets)
        )
        return (*(each.by_hand for each in settings.hosts), *found)

    async def answer(self, context: Context) -> Card:
        settings = context.find(CertificateSettings) or CertificateSettings()
        places = named(context.places, names_of(self.region))
        return _card(context.where.name, await look(places, context.where, settings, context.now))


def _card(where: str, found: Certificates) -> Card:
    certificates = found.found
    wrong = [each for each in certificates if each.wrong]
    near = [each for each in certificates if each.level != "fine" and not each.wrong]
    first = certificates[0] if certificates else None
    if wrong:
        text = f"{counted(len(wrong), 'certificate')} of {where} {by_count(len(wrong), 'needs', 'need')} action now"
    elif near:
        text = f"{counted(len(near), 'certificate')} of {where} should be renewed soon"
    elif first is not None and first.days is not None:
        text = f"{counted(len(certificates), 'certificate')} of {where}, the first expires in {in_days(first.days)}"
    else:
        text = f"No certificate of {where} was found"
    told = [*wrong, *near]
    body: list[Element] = [Paragraph(text=_sentence(each, renewed(each, certificates))) for each in told[:_TOLD]]
    if len(told) > _TOLD:
        body.append(Note(text=words(f"{counted(len(told) - _TOLD, 'more certificate')} like that; see the table.")))
    if certificates:
        body.append(_table(certificates[:_MOST]))
    if len(certificates) > _MOST:
        body.append(Note(text=words(f"{counted(len(certificates) - _MOST, 'more certificate')} with more time left.")))
    body += [Paragraph(text=sentence(why)) for why in found.unknown]
    body += [Note(text=sentence(note)) for note in found.notes]
    state = State.FAILED if wrong else State.WAITING if near or found.unknown or not certificates else State.DONE
    return Card(
        state=state,
        title=words(Strong(text=text)),
        summary=text,
        body=tuple(body),
        buttons=(Button(label="Status", does=Typed(text=f"status --env {where}")),),
        data={
            "environment": where,
            "certificates": [each.model_dump(mode="json") for each in certificates],
            "unknown": list(found.unknown),
        },
    )


def _sentence(found: FoundCertificate, newer: FoundCertificate | None) -> Text:
    """Return what is wrong with it, and that it is renewed already where it is: then another renewal does not help."""
    has = f" It was renewed in {newer.named}: install it on the server of {found.where}." if newer is not None else ""
    return words(Strong(text=found.named), f": {found.told}.{has}")


def _table(found: Sequence[FoundCertificate]) -> Table:
    return Table(
        columns=("Certificate", "Days left", "State", "Expires", "Issuer"),
        rows=tuple(
            (
                words(Code(text=each.where), f" in {each.region}" if each.region else ""),
                words("none" if each.days is None else str(each.days)),
                words(f"{each.level}{', not trusted' if each.problem else ''}"),
                words(Moment(at=each.ends, form="date-time", age=False) if each.ends is not None else "never issued"),
                words(each.issuer or "unknown"),
            )
            for each in found
        ),
    )
