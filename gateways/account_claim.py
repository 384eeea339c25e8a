"""One trading session per exchange account on this machine, from whatever data folder it is started.

Whoever trades an account holds a name of the machine's (an abstract Unix socket, unix(7)), made of the venue and a
digest of the API key. It is given back with the process, however that ends, and whoever asks learns whose it is.
"""

from __future__ import annotations

import errno
import socket
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final

MAX_COMMAND: Final = 200
_PEER: Final = struct.Struct("3i")
"""pid, uid, gid of SO_PEERCRED."""


class ClaimError(ValueError):
    """The exchange account is traded already; the message says by whom, and the remedy."""


class Claim:
    """Holds an exchange account until ``release``.

    Parameters
    ----------
    venue, key
        Whose account.
    sandbox_port
        Of the sandbox that stands for the venue; 0: it is the exchange itself.

    Raises
    ------
    ClaimError
        When another session holds it.
    """

    def __init__(self, venue: str, key: str, sandbox_port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.bind(_name(venue, key, sandbox_port))
            self._socket.listen(1)
        except OSError as error:
            self._socket.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise ClaimError(in_use(venue, key, claimant(venue, key, sandbox_port))) from None

    def release(self) -> None:
        """Give the account back."""
        self._socket.close()


def claimant(venue: str, key: str, sandbox_port: int = 0) -> int:
    """The pid of the process that trades an exchange account; 0: none does."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(_name(venue, key, sandbox_port))
        except ConnectionRefusedError:
            return 0
        except BlockingIOError:  # others ask too
            return -1
        pid, _, _ = _PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return int(pid)


def in_use(venue: str, key: str, pid: int) -> str:
    """That a process trades the account, in words."""
    return (
        f"the account at {venue} of key ...{key[-4:]} is traded by process {pid}{_command(pid)}: end that session, or "
        f"take keys of another account"
    )


def _name(venue: str, key: str, sandbox_port: int) -> str:
    return f"\0zoms {venue} {sandbox_port} {blake2b(key.encode(), digest_size=8).hexdigest()}"


def _command(pid: int) -> str:
    """A process's command line, which names its session's file; empty where it cannot be read."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return f" ({' '.join(words).strip()[-MAX_COMMAND:]})"
