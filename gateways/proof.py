"""Which venues have passed their check with the user's own keys.

``zoms venue-check`` writes it, ``zoms firm`` reads it. A proof is one file a venue in the data folder; it holds for the
version of ccxt that it was given with.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = "venue-checks"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A check that a venue has passed."""

    venue: str
    ts: int
    """When, ns since the epoch."""
    ccxt: str
    checks: tuple[str, ...]
    """What was tried."""


def ccxt_version() -> str:
    """The version that is installed; empty: none."""
    try:
        return version("ccxt")
    except PackageNotFoundError:
        return ""


def proof_file(folder: Path, venue: str) -> Path:
    """Where a venue's proof lies in the data folder."""
    return folder / FOLDER / f"{venue}.json"


def write_proof(folder: Path, proof: Proof) -> Path:
    """Keep a proof, and return its file."""
    path = proof_file(folder, proof.venue)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(proof))
    partial.replace(path)
    return path


def read_proof(folder: Path, venue: str) -> Proof | None:
    """A venue's proof, where there is one that holds."""
    try:
        proof = msgspec.json.decode(proof_file(folder, venue).read_bytes(), type=Proof)
    except (OSError, msgspec.DecodeError):
        return None
    return proof if proof.venue == venue and proof.ccxt == ccxt_version() else None
