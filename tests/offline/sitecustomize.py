"""No test reaches beyond this machine: connecting and looking up names is refused.

Python imports this by its name at the start of each process that a test starts, since the folder
is on `PYTHONPATH`; the tests' own process imports it from `tests/conftest.py`.
"""

from __future__ import annotations

import sys
from typing import Any


def _on_this_machine(host: object) -> bool:
    from ipaddress import ip_address
    from socket import gethostname

    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in {"", "localhost", gethostname()}:
        return True
    try:
        address = ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise for what would leave this machine; called by Python for whatever it audits."""
    if not event.startswith("socket."):
        return
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host: object = arguments[0]
    elif event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        made, address = arguments
        if made.family.name not in {"AF_INET", "AF_INET6"} or address is None:
            return
        host = address[0]
    else:
        return
    if not _on_this_machine(host):
        raise PermissionError(f"tests stay on this machine: {event} to {host}")


sys.addaudithook(_refuse)
