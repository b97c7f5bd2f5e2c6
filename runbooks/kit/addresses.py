"""`HOST` and `HOST:PORT`, as they stand in the configuration."""

ADDRESS = r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?$"
"""The pattern of an address: a name or an IP address, with or without a port."""


def split_address(address: str) -> tuple[str, int | None]:
    """Return host and port of `HOST:PORT`, `HOST` or `[::1]:PORT`."""
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        return host, int(port[1:]) if port else None
    host, _, port = address.partition(":")
    return host, int(port) if port else None


def joined(host: str, port: int) -> str:
    """Return `HOST:PORT`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
