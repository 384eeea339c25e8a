"""What the settings say is the settings' in every session: nothing of it is taken from the session before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from oms import assembly
from oms.core.state import State, new_state
from oms.durable import Column, Values, kept_columns, restored_parts
from tests.oms.test_assembly import ACCOUNT, LIMITS, PERPETUAL, settings_of

OPENING = {"scopes.trading_state", "wallets.balance"}
"""What the settings say of an account's first session only."""


def tables() -> list[Column]:
    """The durable tables that have columns of their own."""
    found = [column for column in kept_columns(whole=False) if not column.part]
    return [column for column in found if column.of(new_state()).dtype.names]


def built_over(monkeypatch: pytest.MonkeyPatch, byte: int) -> State:
    """A core with one of everything that settings define, built in memory that was full of one byte."""
    st = new_state()
    for column in tables():
        column.of(st)[...] = np.frombuffer(bytes([byte]) * column.of(st).dtype.itemsize, column.of(st).dtype)[0]
    monkeypatch.setattr(assembly, "new_state", lambda: st)
    settings = settings_of(
        accounts={"paper": ACCOUNT},
        risk={PERPETUAL: LIMITS},
        strategies=[{"file": "market_maker", "instrument": PERPETUAL, "risk": {"max_position": "1"}}],
    )
    return assembly.build_core(settings).st


def bytes_of(values: Values) -> Values:
    """One row of bytes for each value."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(-1, values.dtype.itemsize)


def written(st: State, other: State) -> Iterator[tuple[Column, str]]:
    """Columns of which any value is the same in both, whatever was there before."""
    for column in tables():
        ours, theirs = column.of(st), column.of(other)
        for part in ours.dtype.names or ():
            if (bytes_of(ours[part]) == bytes_of(theirs[part])).all(axis=1).any():
                yield column, part


def test_nothing_that_settings_define_is_taken_from_the_session_before(monkeypatch: pytest.MonkeyPatch) -> None:
    defined = list(written(built_over(monkeypatch, 0x55), built_over(monkeypatch, 0xAA)))
    assert {"instruments", "accounts", "limits", "scopes", "wallets", "strategies", "currencies"} == {
        column.table for column, _ in defined
    }
    restored = set()
    for column, part in defined:
        parts = restored_parts(column)
        if parts is None or part in parts:
            restored.add(f"{column.table}.{part}")
    assert restored == OPENING
