"""Ports for servers that take none by themselves."""

import random
import socket


def free_ports(count: int) -> list[int]:
    """Ports that are free, each together with the one 10000 above (which is Redis' bus).

    All are below those that the kernel gives to outgoing connections: one of these would be taken until the server comes to bind it.
    """
    found = []
    for port in random.sample(range(11000, 22000), 500):
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 10000)):
                found.append(port)
        except OSError:
            continue
        if len(found) == count:
            return found
    raise AssertionError("no ports are free")
