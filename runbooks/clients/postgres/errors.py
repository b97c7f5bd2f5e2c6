"""This project's errors for PostgreSQL's refusals and connection failures: each says what happened and what to do.

The database client raises nothing else. No message from libpq or the server is passed on: they quote host lists, rows and
values. Known messages are recognised here; what a person needs from a refused statement is in `said`, with literals hidden.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

if TYPE_CHECKING:
    import psycopg

OLDEST = 100000
"""PostgreSQL 10 as a version number: the first with roles that can read only statistics."""

GRANT = "`GRANT pg_read_all_stats TO {role};` on the primary, as a superuser (on RDS: as the master user)."
NONE_LEFT = "has no connections left for the bot"
"""What is said where the server, and not the bot itself, has no connection to give."""
_HOW_TO = "The manual's page “Look into the database” has the SQL for the role."


@dataclass(frozen=True, slots=True)
class _Known:
    """A kind of connection failure, recognised by words from libpq or the server."""

    pattern: str
    code: ReasonCode
    says: str
    to_do: tuple[str, ...]
    passes: bool = False
    """The failure may be temporary."""


_CONNECTING: tuple[_Known, ...] = (
    _Known(
        r"authentication method requirement",
        ReasonCode.DATABASE_TLS,
        "{server} asks for a cleartext password or none, and its identity is not verified",
        (
            "Set `tls` in `[environments.….database]` to `verify-full`, or require `scram-sha-256` in the server's `pg_hba.conf`.",
        ),
    ),
    _Known(
        r"authentication failed|no password supplied|SCRAM|has no credentials for the role|no such user|"
        r"role .* does not exist|role .* is not permitted to log in",
        ReasonCode.DATABASE_REFUSED,
        "{server} rejects the reader's name or password",
        (
            (
                "Compare the Secret's keys with the role: `ALTER ROLE {user} PASSWORD …` on the primary, then update the Secret. "
                "The bot rereads it automatically."
            ),
        ),
    ),
    _Known(
        r"no pg_hba\.conf entry.*no encryption",
        ReasonCode.DATABASE_TLS,
        "{server} accepts TLS connections only",
        ("Set `tls` in `[environments.….database]` to `verify-full`.",),
    ),
    _Known(
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        ReasonCode.DATABASE_REFUSED,
        "{server} rejects role {user} from the bot's address",
        ("Add a line to its `pg_hba.conf`, or the bot's network to its security group.",),
    ),
    _Known(
        r"database .* does not exist|no such database",
        ReasonCode.DATABASE_REFUSED,
        "{server} has no database {name}",
        ("Correct `name` in `[environments.….database]`.",),
    ),
    _Known(
        r"permission denied for database",
        ReasonCode.DATABASE_REFUSED,
        "Role {user} may not connect to database {name}",
        ("`GRANT CONNECT ON DATABASE {name} TO {user};`",),
    ),
    _Known(
        r"too many (clients|connections)|remaining connection slots|no more connections allowed|max_client_conn|query_wait_timeout",
        ReasonCode.DATABASE_BUSY,
        f"{{server}} {NONE_LEFT}",
        (
            (
                "The application uses them all, or the role has reached its own limit: `SELECT usename, state, count(*) FROM "
                "pg_stat_activity GROUP BY 1, 2;`"
            ),
        ),
        passes=True,
    ),
    _Known(
        r"the database system is (starting up|shutting down|in recovery mode|not yet accepting)|hot standby",
        ReasonCode.DATABASE_UNREACHABLE,
        "{server} is starting or shutting down",
        ("Wait a moment. If this persists, check the server's log.",),
        passes=True,
    ),
    _Known(
        r"server does not support SSL",
        ReasonCode.DATABASE_TLS,
        "{server} does not support TLS, which the bot requires",
        ("Turn on `ssl` in the server; the bot never sends its password to a server that it can't verify.",),
    ),
    _Known(
        r"certificate verify failed|server certificate for|certificate has expired|self.signed",
        ReasonCode.DATABASE_TLS,
        "{server} has a certificate that the bot does not trust",
        (
            (
                "Set `root_certificate` in `[environments.….database]` to the certificate authority (on RDS: the region's bundle), and "
                "use the host name in the certificate."
            ),
        ),
    ),
    _Known(
        r"root certificate file|sslrootcert|certificate file|SSL error|SSL SYSCALL|tlsv1|sslv3",
        ReasonCode.DATABASE_TLS,
        "{server}: no TLS connection can be established",
        ("Check `tls` and `root_certificate` in `[environments.….database]`: the file must exist and be readable.",),
    ),
    _Known(
        r"unsupported startup parameter|unrecognized configuration parameter",
        ReasonCode.DATABASE_REFUSED,
        "{server} is a pooler that rejects the bot's limits",
        (
            "Configure the server itself, not the pooler: the bot sets read-only mode and a time limit when it connects.",
        ),
    ),
    _Known(
        r"could not translate host name|Name or service not known|No address associated|failed to resolve host|nodename nor servname",
        ReasonCode.DATABASE_UNREACHABLE,
        "{server}: unknown host name",
        ("Correct `primary` or `replica` in `[environments.….database]`, or check the DNS.",),
    ),
    _Known(
        r"server closed the connection unexpectedly|Connection reset|connection timeout|Network is unreachable|No route to host",
        ReasonCode.DATABASE_UNREACHABLE,
        "{server} closes the connection, or can't be reached",
        ("Check that the server runs at that address, and what is in between: proxy, load balancer, network policy.",),
        passes=True,
    ),
    _Known(
        r"Connection refused",
        ReasonCode.DATABASE_UNREACHABLE,
        "{server} refuses the connection: nothing is listening there",
        ("Check that the server runs, and check host and port in `[environments.….database]`.",),
        passes=True,
    ),
)


def _said(error: BaseException) -> str:
    return str(error)


def timed_out(server: str, seconds: float) -> RunbookError:
    """No connection within the deadline."""
    return TemporaryError(
        f"{server} did not answer within {seconds:g} s.",
        code=ReasonCode.DATABASE_UNREACHABLE,
        retry_after=2.0,
        advice=(
            "Check that the server runs, and what is in between: security group, network policy, a failover in progress.",
        ),
    )


def no_credentials_in_time(seconds: float) -> RunbookError:
    """The source of the credentials is late, not the database."""
    return TemporaryError(
        f"The cluster did not return the database credentials within {seconds:g} s.",
        code=ReasonCode.CLUSTER_UNREACHABLE,
        retry_after=2.0,
    )


def busy(server: str, seconds: float) -> RunbookError:
    """Both of the bot's connections are in use."""
    return TemporaryError(
        f"{server}: both of the bot's connections have been busy for {seconds:g} s.",
        code=ReasonCode.DATABASE_BUSY,
        retry_after=2.0,
        advice=("Others are using the bot, or the server answers slowly. Try again in a moment.",),
    )


def too_old(server: str, version: int) -> PermanentError:
    """Before PostgreSQL 10."""
    shown = f"{version // 10000}.{version // 100 % 100}" if version else "unknown"
    return PermanentError(
        f"{server} is PostgreSQL {shown}; the bot needs 10 or later.",
        code=ReasonCode.DATABASE_TOO_OLD,
        advice=(
            "Until it is upgraded, run this by hand: `SELECT * FROM pg_stat_statements ORDER BY total_time DESC LIMIT 10;`",
        ),
    )


_ANSWERED = re.compile(r"failed: [^\W\d_][^:\n]{1,40}:  ([^\n]+)")
"""libpq's text, then a severity in the server's language and two spaces: a server has answered. libpq does not expose its SQLSTATE."""
_LONGEST_ANSWER = 200


def connecting(error: "psycopg.Error", server: str, user: str, name: str, secret: str = "") -> RunbookError:
    """Return why no connection was established. `secret`: text that must not be quoted, even if an answer contains it."""
    words = _said(error)
    for known in _CONNECTING:
        if re.search(known.pattern, words, re.IGNORECASE | re.DOTALL):
            filled = {"server": server, "user": user, "name": name}
            says = known.says.format(**filled)
            advice = tuple(line.format(**filled) for line in (*known.to_do, *_more(known)))
            if known.passes:
                return TemporaryError(f"{says}.", code=known.code, retry_after=2.0, advice=advice)
            return PermanentError(f"{says}.", code=known.code, advice=advice)
    if answered := _ANSWERED.search(words):
        # in any language, and from any source: poolers and authentication plugins have their own texts
        return PermanentError(
            f"{server} rejected the connection.",
            code=ReasonCode.DATABASE_REFUSED,
            evidence=(f"Its answer: {answered[1][:_LONGEST_ANSWER]}",) if not secret or secret not in words else (),
            advice=(
                "If this is about the password: the bot rereads the Secret automatically. If it is about a limit: try again in a moment.",
                _HOW_TO,
            ),
        )
    return TemporaryError(
        f"{server} can't be reached ({type(error).__name__}).",
        code=ReasonCode.DATABASE_UNREACHABLE,
        retry_after=2.0,
        advice=("Run `omnicare doctor` on the bot's machine to test each step of the connection.",),
    )


def _more(known: _Known) -> tuple[str, ...]:
    return (_HOW_TO,) if known.code is ReasonCode.DATABASE_REFUSED else ()


def no_statistics(*, loaded: bool) -> PermanentError:
    """`pg_stat_statements` is not installed, or not loaded by the server."""
    if loaded:
        return PermanentError(
            "The extension pg_stat_statements is not installed in this database, so there are no statistics.",
            code=ReasonCode.STATISTICS_MISSING,
            advice=("Run `CREATE EXTENSION pg_stat_statements;` in it as a superuser (on RDS: as the master user).",),
        )
    return PermanentError(
        "The server does not load pg_stat_statements, so there are no statistics.",
        code=ReasonCode.STATISTICS_MISSING,
        advice=(
            (
                "Add it to `shared_preload_libraries` (on RDS: in the parameter group) and restart the server; then "
                "`CREATE EXTENSION pg_stat_statements;`."
            ),
        ),
    )


def may_not_see(role: str) -> PermanentError:
    """The role can see only its own statements."""
    return PermanentError(
        f"Role {role} can't see other roles' statements, so there is nothing to show.",
        code=ReasonCode.DATABASE_RIGHTS,
        advice=(GRANT.format(role=role), _HOW_TO),
    )


def no_usage(role: str, schema: str) -> PermanentError:
    """The role has no access to the schema of `pg_stat_statements`."""
    return PermanentError(
        f"Role {role} has no access to schema {schema}, which contains pg_stat_statements.",
        code=ReasonCode.DATABASE_RIGHTS,
        advice=(f"`GRANT USAGE ON SCHEMA {schema} TO {role};` as a superuser (on RDS: as the master user).", _HOW_TO),
    )


def no_select(role: str, schema: str) -> PermanentError:
    """The role has no access to the view."""
    return PermanentError(
        f"Role {role} has no access to {schema}.pg_stat_statements.",
        code=ReasonCode.DATABASE_RIGHTS,
        advice=(
            f"`GRANT SELECT ON {schema}.pg_stat_statements TO {role};` as a superuser (on RDS: as the master user).",
            _HOW_TO,
        ),
    )


def may_not_end(role: str, pid: int, *, installed: bool) -> PermanentError:
    """The role has no function to end sessions with."""
    by_hand = f"By hand, as the DBA: `SELECT pg_terminate_backend({pid});`"
    if installed:
        return PermanentError(
            f"Role {role} has no permission to call the function that ends sessions.",
            code=ReasonCode.DATABASE_RIGHTS,
            advice=("A DBA can run `deploy/database/kill.sql` again on the primary.", by_hand),
        )
    return PermanentError(
        "The function that ends sessions is not installed, and the bot's role deliberately can't end any by itself.",
        code=ReasonCode.DATABASE_RIGHTS,
        advice=("A DBA can install it with `deploy/database/kill.sql`.", by_hand),
    )


def asking(error: "psycopg.Error", server: str, user: str, seconds: float, took: float) -> RunbookError:
    """Return why a statement failed. Its limit was `seconds`, and it took `took`. Decided by SQLSTATE only, because texts are in many languages."""
    code = error.sqlstate or ""
    if (
        code == "57014" and took < seconds * 0.9
    ):  # the same code for the server's limit and for somebody who cancelled it
        return TemporaryError(
            f"{server}: somebody cancelled the bot's statement after {took:.1f} s.",
            code=ReasonCode.DATABASE_BUSY,
            retry_after=5.0,
            advice=("A DBA or a tool called `pg_cancel_backend`. Ask them, or try again.",),
        )
    if code == "57014":
        return TemporaryError(
            f"{server} did not answer within {seconds:g} s, the time limit for the bot's statements.",
            code=ReasonCode.DATABASE_SLOW,
            retry_after=5.0,
            advice=(
                "The server is busy or waits for a lock. `db activity` shows what is running, `db connect` how fast it answers.",
            ),
        )
    if code == "55P03":
        return TemporaryError(
            f"{server}: the bot's statement would have to wait for a lock.",
            code=ReasonCode.DATABASE_SLOW,
            retry_after=5.0,
            advice=("`db activity` shows who waits for whom.",),
        )
    if code.startswith("40"):
        return TemporaryError(
            f"{server} cancelled the bot's statement because it conflicted with other changes (SQLSTATE {code}).",
            code=ReasonCode.DATABASE_BUSY,
            retry_after=2.0,
            advice=("On a replica this happens while it catches up. Use `--on primary`.",),
        )
    if code == "42501":
        return PermanentError(
            f"Role {user} lacks a privilege that the statement needs.",
            code=ReasonCode.DATABASE_RIGHTS,
            advice=("`db connect` checks each privilege and names the missing one.", _HOW_TO),
        )
    if code == "55000" and "pg_stat_statements" in _said(error):
        return no_statistics(loaded=False)
    if code == "53300":
        return connecting(error, server, user, "")
    if not code or code.startswith(("08", "57", "53", "55", "58", "XX")):
        return TemporaryError(
            f"{server} closed the connection ({code or type(error).__name__}).",
            code=ReasonCode.DATABASE_UNREACHABLE,
            retry_after=2.0,
            advice=(
                "A failover, a restart or a full disk can cause this: check the server's log. Try again in a moment.",
            ),
        )
    return PermanentError(
        f"{server} rejects the bot's statement (SQLSTATE {code}).",
        code=ReasonCode.DATABASE_REFUSED,
        advice=(
            "Report this as a bug in the bot, with the code."
            if code.startswith("42")
            else "Check the server's log; `db connect` tests what the bot needs.",
        ),
    )
