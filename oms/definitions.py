"""Definitions of instruments through their versions: what old records are counted in.

A record names its instrument and the version of the definition that its prices and quantities are counted in. Every
definition that an account has ever used is kept in ``definitions.json`` in its folder, so that old records go on
resolving by theirs. Whoever brings a new version adds it there before the core uses it; readers look again when they
meet a version that they do not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from oms.checks import ConfigError
from oms.instruments import Instrument

FILE: Final = "definitions.json"
GRID: Final = ("symbol", "venue", "kind", "tick", "lot", "multiplier", "settlement")
"""What a version stands for; anything else of a definition may change without a new one."""


class Definitions:
    """Definitions by instrument and version.

    Parameters
    ----------
    instruments : iterable of Instrument
        The settings': those in force, until ``put_in_force`` says otherwise.
    path : Path, optional
        The account's file of definitions, for all versions that are not among ``instruments``.
    """

    def __init__(self, instruments: Iterable[Instrument], path: Path | None = None) -> None:
        self._path = path
        self._read_size = -1
        self._known: dict[tuple[int, int], Instrument] = {}
        self._in_force: dict[int, Instrument] = {}
        for each in instruments:
            self._known[each.id, each.version] = each
            self._in_force[each.id] = each

    def of(self, instrument: int, version: int) -> Instrument | None:
        """The definition that a record is counted in; None when it is not known. Version 0 is the one in force."""
        found = self._known.get((instrument, version))
        if found is not None:
            return found
        if version == 0:
            return self._in_force.get(instrument)
        self._read()
        return self._known.get((instrument, version))

    def in_force(self, instrument: int) -> Instrument | None:
        """The definition that new orders are counted in."""
        return self._in_force.get(instrument)

    def put_in_force(self, instrument: int, version: int) -> None:
        """Count new orders in another version from now on; one that is not known leaves things as they are."""
        found = self.of(instrument, version)
        if found is not None and instrument in self._in_force:
            self._in_force[instrument] = found

    def _read(self) -> None:
        """Take what has been added to the file since it was last read."""
        size = self._path.stat().st_size if self._path is not None and self._path.exists() else 0
        if self._path is None or size == self._read_size:
            return
        self._read_size = size
        for each in read_definitions(self._path):
            self._known.setdefault((each.id, each.version), each)


def read_definitions(path: Path) -> tuple[Instrument, ...]:
    """The definitions in a file, none when there is no such file.

    Raises
    ------
    ConfigError
        When it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Instrument, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"definitions {path} cannot be read: {error}; restore the file from a copy") from None


def add_definitions(path: Path, instruments: Iterable[Instrument]) -> None:
    """Add definitions to an account's file; one of a version that is there is left as it is.

    Raises
    ------
    ConfigError
        When a definition differs in what its version stands for (``GRID``), or the file cannot be read.
    """
    known = {(each.id, each.version): each for each in read_definitions(path)}
    before = len(known)
    for each in instruments:
        old = known.setdefault((each.id, each.version), each)
        for name in GRID:
            if getattr(old, name) != getattr(each, name):
                raise ConfigError(
                    f"instrument {each.symbol} (id {each.id}) has {name} {getattr(each, name)}, and records of its "
                    f"version {each.version} are counted in {name} {getattr(old, name)} (see {path}): raise its version"
                )
    if len(known) == before:
        return
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode([known[key] for key in sorted(known)])))
    partial.replace(path)
