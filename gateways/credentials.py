"""API keys of venues: from the environment, or the system's keyring. They are in no file, no log and no message."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

PARTS: Final = ("key", "secret")
PASSPHRASE: Final = "passphrase"
"""A third part, that keys of some venues (OKX) have."""
KEYRING_SERVICE: Final = "zoms {venue}"


class CredentialsError(ValueError):
    """There are no keys for a venue."""


class Credentials(NamedTuple):
    """An API key and its secret, and the passphrase of a venue that has one; the last two are not shown."""

    key: str
    secret: str
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"Credentials(key='...{self.key[-4:]}')"


def variable(venue: str, part: str) -> str:
    """The environment variable of a venue's key or secret."""
    return f"ZOMS_{venue}_{part}".upper()


def read_credentials(venue: str, environment: Mapping[str, str] | None = None) -> Credentials:
    """The keys of a venue: of ``environment`` (the process's own), else of the system's keyring.

    Raises
    ------
    CredentialsError
        When there are none, or only one of the two; it names where they are looked for.
    """
    given = os.environ if environment is None else environment
    names = [variable(venue, part) for part in PARTS]
    found = [given.get(name, "") for name in names]
    if any(found) and not all(found):
        missing = names[found.index("")]
        raise CredentialsError(f"{missing} is not set, and {names[1 - names.index(missing)]} is: set both")
    passphrase = given.get(variable(venue, PASSPHRASE), "")
    if not any(found):
        found = [_from_keyring(venue, part) for part in PARTS]
        passphrase = passphrase or _from_keyring(venue, PASSPHRASE)
    if not all(found):
        raise CredentialsError(
            f"there are no keys for {venue}: set {' and '.join(names)}, or keep them in the system's keyring as "
            f"{' and '.join(PARTS)} of {KEYRING_SERVICE.format(venue=venue)!r} (pip install keyring)"
        )
    return Credentials(found[0], found[1], passphrase)


def origin_of(venue: str, environment: Mapping[str, str] | None = None) -> str:
    """Where ``read_credentials`` finds a venue's keys, in words."""
    given = os.environ if environment is None else environment
    names = [variable(venue, part) for part in PARTS]
    if any(given.get(name, "") for name in names):
        return f"{' and '.join(names)} of the environment"
    return f"{' and '.join(PARTS)} of {KEYRING_SERVICE.format(venue=venue)!r} in the system's keyring"


def refused_text(venue: str, key: str, error: str, environment: Mapping[str, str] | None = None) -> str:
    """That a venue refuses its keys, which ones, and what to do.

    Parameters
    ----------
    key
        Of which the last four characters are shown.
    error
        The exchange's words.
    """
    return (
        f"{venue} refuses the keys that {origin_of(venue, environment)} have (key ...{key[-4:]}): {error}. See at the "
        f"exchange whether that key is there, has not expired, is this venue's and not a testnet's, and admits this "
        f"machine's address; then copy key and secret anew"
    )


def _from_keyring(venue: str, part: str) -> str:
    """What the keyring has; empty where there is none."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return keyring.get_password(KEYRING_SERVICE.format(venue=venue), part) or ""
    except KeyringError:  # no keyring on this machine, or one that stays locked
        return ""
