"""One trading session per exchange account on this machine, from whatever data folder it is started.

Whoever trades an account holds a name of the machine's (an abstract Unix socket, unix(7)), made of the wallet and a
digest of the API key: the venues by which one wallet is reached are one account. It is given back with the process,
however that ends, and whoever asks learns whose it is.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from contextlib import suppress
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
    wallet, key
        Whose account: ``gateways.venues.Venue.wallet``, and the API key.
    sandbox_port
        Of the sandbox that stands for the venue; 0: it is the exchange itself.

    Raises
    ------
    ClaimError
        When another session holds it.
    """

    def __init__(self, wallet: str, key: str, sandbox_port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._answering = threading.Thread(target=self._answer, name="account claim", daemon=True)
        try:
            self._socket.bind(_name(wallet, key, sandbox_port))
            self._socket.listen()
        except OSError as error:
            self._socket.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise ClaimError(in_use(wallet, key, claimant(wallet, key, sandbox_port))) from None
        self._answering.start()

    def release(self) -> None:
        """Give the account back."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._answering.join()
        self._socket.close()

    def _answer(self) -> None:
        """Make room for the next question: who asks knows by the connection alone."""
        with suppress(OSError):  # released
            while True:
                self._socket.accept()[0].close()


def claimant(wallet: str, key: str, sandbox_port: int = 0) -> int:
    """The pid of the process that trades an exchange account; 0: none does, -1: one that cannot be told now."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(_name(wallet, key, sandbox_port))
        except ConnectionRefusedError:
            return 0
        except BlockingIOError:  # it hangs, and many have asked
            return -1
        pid, _, _ = _PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return int(pid)


def in_use(wallet: str, key: str, pid: int) -> str:
    """That a process trades the account, in words."""
    who = f"process {pid}{_command(pid)}" if pid > 0 else "a process that answers nobody"
    return (
        f"the account at {wallet} of key ...{key[-4:]} is traded by {who}: end that session, or take keys of another "
        f"account"
    )


def _name(wallet: str, key: str, sandbox_port: int) -> str:
    return f"\0zoms {wallet} {sandbox_port} {blake2b(key.encode(), digest_size=8).hexdigest()}"


def _command(pid: int) -> str:
    """A process's command line, which names its session's file; empty where it cannot be read."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return f" ({' '.join(words).strip()[-MAX_COMMAND:]})"
