"""Who else listens where clients look for us.

While no daemon of ours listens, any user of this machine can listen at its ports,
and is then what `localhost:5000` means, and Docker Hub's mirror for dockerd. Next to a
daemon that listens at 127.0.0.1 alone there is ::1, which `localhost` means as well.
"""

import os
import socket
from collections.abc import Iterable

from nixeryd.config.ownership import user_name
from nixeryd.runtime.sockdiag import End, SockDiag

_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def strangers_at(ports: Iterable[int], also: Iterable[int] = ()) -> list[str]:
    """Say which of these ports somebody else listens at, and who.

    Ours are this user's and root's, and those of the uids `also`. What listens at
    every address counts. Empty where the kernel does not tell.
    """
    ours = {0, os.geteuid(), *also}
    found = []
    try:
        with SockDiag() as kernel:
            for port in dict.fromkeys(ports):
                for family, address in _LOOPBACKS:
                    holder = kernel.listening(End.of(family, (address, port)))
                    if holder and holder.uid not in ours:
                        host = f"[{address}]" if ":" in address else address
                        name = user_name(holder.uid)
                        found.append(f"{host}:{port} belongs to the user {name}")
    except OSError:
        return []
    return found


def ports_of(addresses: Iterable[str]) -> list[int]:
    """Return the ports of addresses such as `127.0.0.1:5000`; others have none."""
    ports = (address.rpartition(":")[2] for address in addresses)
    return [int(port) for port in ports if port.isdecimal() and int(port)]
