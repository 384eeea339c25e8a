"""Choosing the exchange model: its module under ``backtest/matching`` by name, compiled, its addresses in the state."""

from __future__ import annotations

import importlib
from typing import Final

import numba

from oms.compiled import Callback, callback
from oms.config import ConfigError
from oms.core.state import STATE, State
from oms.records import COMMAND, TICK

MATCHING_MODELS: Final = ("displayed", "no_partial_fill")
"""Exchange models by name: the modules of ``backtest/matching`` that can be chosen."""

_MODEL_FUNCTIONS: Final = {"on_request": COMMAND, "on_depth": TICK, "on_trade": TICK}


def load_model(name: str) -> dict[str, Callback]:
    """Compile the exchange model called ``name``; raises ``ConfigError`` when there is none."""
    if name not in MATCHING_MODELS:
        raise ConfigError(f"unknown matching model {name!r}: choose {' or '.join(MATCHING_MODELS)}")
    module = importlib.import_module(f"backtest.matching.{name}")
    return {
        function: callback(getattr(module, function), numba.from_dtype(dtype), STATE, checked=False)
        for function, dtype in _MODEL_FUNCTIONS.items()
    }


def use_model(st: State, model: dict[str, Callback], *, entry_latency_ns: int, response_latency_ns: int) -> None:
    """Let the exchange model answer this core's orders."""
    row = st[0]["model"]
    for function, compiled in model.items():
        row[function] = compiled.address
    row["entry_latency_ns"] = entry_latency_ns
    row["response_latency_ns"] = response_latency_ns
