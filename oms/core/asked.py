"""What strategies ask the core: compiled once, with the core, and called by address; no strategy compiles it again."""

from __future__ import annotations

from functools import cache
from typing import Final

import numba

from oms.compiled import Callback, callback
from oms.core.mass_cancel import cancel_open
from oms.core.requests import request_amend, request_cancel, request_new, request_pause
from oms.core.state import MAX_ACCOUNTS, STATE, Record, State
from oms.core.valuation import revalue
from oms.records import COMMAND, CommandKind, Reason

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_CANCEL: Final = int(CommandKind.CANCEL)
_CANCEL_ALL: Final = int(CommandKind.CANCEL_ALL)
_NONE: Final = int(Reason.NONE)


def on_ask(st: State, me: int, command: Record) -> None:
    """Act on a strategy's command; ``answered`` is 0 then, or the Reason for which it is refused."""
    s = st[0]
    kind = command["kind"]
    reason = _NONE
    if kind == _NEW:
        reason = request_new(s, command)
    elif kind == _AMEND:
        reason = request_amend(s, command)
    elif kind == _CANCEL:
        reason = request_cancel(s, command)
    elif kind == _CANCEL_ALL:
        cancel_open(s, command["account"], -1, me, True, 0, 0, command["source"])
    else:
        reason = request_pause(s, command)
    s["answered"] = reason


def on_value(st: State, me: int, _command: Record) -> None:
    """Value a strategy and its account at the market of now."""
    s = st[0]
    revalue(s, s["strategies"][me]["account"])
    revalue(s, MAX_ACCOUNTS + me)


@cache
def asked_callbacks() -> dict[str, Callback]:
    """The functions above by name, for calls by address: compiled, or from the cache."""
    record = numba.from_dtype(COMMAND)
    return {each.__name__: callback(each, record, STATE, checked=False) for each in (on_ask, on_value)}
