"""Choosing the exchange model and its queue model: by name or by a file of the user's, compiled, in the state."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from oms.checks import ConfigError
from oms.compiled import Callback, callback
from oms.core.state import MAX_INSTRUMENTS, STATE, State, begin_books
from oms.records import COMMAND, TICK
from oms.session_settings import MATCHING_MODELS

QUEUE_MODELS: Final = ("risk_averse", "log", "log2", "power1", "power2", "power3")
"""Queue models by name: the modules of ``backtest/queues`` that can be chosen."""

EXCHANGE_FUNCTIONS: Final = {"on_request": COMMAND, "on_depth": TICK, "on_trade": TICK}
QUEUE_FUNCTIONS: Final = {"on_level": TICK}
LIQUIDATION: Final = "maintenance"
"""What liquidates: the module of ``backtest/liquidation``."""
MARGIN_FUNCTIONS: Final = {"on_margin": TICK}
STOPS: Final = "at_exchange"
"""What keeps stops at the exchange: the module of ``backtest/stops``."""
STOP_FUNCTIONS: Final = {"on_stop": COMMAND, "on_price": TICK}
_KINDS: Final = {
    "matching": ("matching model", MATCHING_MODELS, EXCHANGE_FUNCTIONS),
    "queues": ("queue model", QUEUE_MODELS, QUEUE_FUNCTIONS),
    "liquidation": ("liquidation", (LIQUIDATION,), MARGIN_FUNCTIONS),
    "stops": ("stops at the exchange", (STOPS,), STOP_FUNCTIONS),
}
"""What each folder of ``backtest`` holds: what it is called, its modules by name, their functions."""

LATENCY_COLUMNS: Final = ("request_ts", "exchange_ts", "response_ts")
"""Of recorded order latencies, ns: when the request left, reached the exchange, and its answer came back."""


class Latency(NamedTuple):
    """How long requests and answers are under way."""

    entry_ns: int = 0
    response_ns: int = 0
    feed_factor: float = 0.0
    """Of the feed's latency, added to both."""
    recorded: npt.NDArray[np.int64] | None = None
    """Shape (rows, 3): ``LATENCY_COLUMNS``. Keep it as long as the state: that holds its address."""


def load_functions(folder: str, name: str) -> dict[str, Callback]:
    """Compile what the module ``name`` of ``backtest/FOLDER`` defines, or a user's file; by the functions' names.

    Raises
    ------
    ConfigError
        When there is no module of that name.
    StrategyError
        When a user's file cannot be used.
    """
    what, names, functions = _KINDS[folder]
    types = {function: numba.from_dtype(dtype) for function, dtype in functions.items()}
    if name.endswith(".py"):
        from strategies.loader import load_model_file

        return load_model_file(Path(name), what, types)
    if name not in names:
        raise ConfigError(f"unknown {what} {name!r}: choose {', '.join(names)}, or give a .py file")
    module = importlib.import_module(f"backtest.{folder}.{name}")
    return {
        function: callback(getattr(module, function), record, STATE, checked=False)
        for function, record in types.items()
    }


def load_model(name: str, queue: str = QUEUE_MODELS[0]) -> dict[str, Callback]:
    """The compiled functions of an exchange model, a queue model, the liquidation and the stops; raises as
    ``load_functions``."""
    chosen = {"matching": name, "queues": queue, "liquidation": LIQUIDATION, "stops": STOPS}
    return {function: each for kind in chosen.items() for function, each in load_functions(*kind).items()}


def use_model(
    st: State,
    model: dict[str, Callback],
    latency: Latency = Latency(),  # noqa: B008  (it cannot be changed)
    *,
    queue_power: float = 0.0,
    two_clocks: bool = False,
) -> None:
    """Let the exchange model answer this core's orders.

    Parameters
    ----------
    model : dict
        What ``load_model`` has compiled.
    latency : Latency
        Of requests and answers.
    queue_power : float
        The exponent of a queue model that has one.
    two_clocks : bool
        True: the exchange has books of its own, in which a message acts at its exchange time.
    """
    row = st[0]["model"]
    for function, compiled in model.items():
        row[function] = compiled.address
    row["entry_latency_ns"] = latency.entry_ns
    row["response_latency_ns"] = latency.response_ns
    row["feed_factor"] = latency.feed_factor
    if latency.recorded is not None:
        row["latency_rows"] = latency.recorded.ctypes.data
        row["latency_count"] = len(latency.recorded)
    row["queue_power"] = queue_power
    row["first_book"] = MAX_INSTRUMENTS if two_clocks else 0
    begin_books(st)
