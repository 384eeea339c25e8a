"""The options of ``zoms backtest`` about the exchange: what each sets, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from oms.commands.exchange_options import with_exchange
from oms.commands.options import CommandError
from oms.config import ConfigError, Settings, load_settings

pytestmark = pytest.mark.pure

NAMES = ("model", "queue", "latency", "fees")


def settings() -> Settings:
    matching = {"fees": "quantity", "feed_latency_factor": 2.0, "entry_latency_us": 7}
    return load_settings(None, {"replay": {"file": "none"}, "matching": matching})


def asked(**given: str) -> Settings:
    return with_exchange(settings(), *(given.get(name) for name in NAMES))


def changes(**given: str) -> dict[str, Any]:
    """What the options change of ``[matching]``."""
    before, after = (msgspec.to_builtins(each.matching) for each in (settings(), asked(**given)))
    return {name: value for name, value in after.items() if value != before[name]}


def test_without_options_the_settings_stay() -> None:
    assert asked() == settings()


@pytest.mark.parametrize("model", ["touch", "no_partial_fill", "partial_fill", "next_tick", "probabilistic"])
def test_a_model_is_chosen_by_name(model: str) -> None:
    assert changes(model=model) == {"model": model}


def test_models_are_chosen_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "queue.py"):
        (tmp_path / name).touch()
    expected = {"model": str(tmp_path / "mine.py"), "queue": str(tmp_path / "queue.py"), "queue_power": 1.5}
    assert changes(model="mine.py", queue="queue.py:1.5") == expected


def test_a_queue_is_chosen_with_its_exponent_or_without() -> None:
    assert changes(queue="log2") == {"queue": "log2"}
    assert changes(queue="power3:2.5") == {"queue": "power3", "queue_power": 2.5}


@pytest.mark.parametrize(
    ("text", "entry_us", "response_us"),
    [
        ("10ms,5ms", 10_000, 5_000),
        ("10ms", 10_000, 10_000),
        ("1s, 250us", 1_000_000, 250),
        ("0ms", 0, 0),
        ("2.5ms,1000ns", 2_500, 1),
    ],
)
def test_a_latency_is_a_time_or_two(text: str, entry_us: int, response_us: int) -> None:
    matching = asked(latency=text).matching
    assert (matching.entry_latency_us, matching.response_latency_us) == (entry_us, response_us)
    assert (matching.feed_latency_factor, matching.latencies) == (0.0, "")


@pytest.mark.parametrize(("text", "factor"), [("feed", 1.0), ("feed:0.5", 0.5)])
def test_a_latency_is_the_feeds(text: str, factor: float) -> None:
    matching = asked(latency=text).matching
    assert (matching.feed_latency_factor, matching.entry_latency_us) == (factor, 0)


def test_a_latency_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "orders.npz"
    file.touch()
    matching = asked(latency=str(file)).matching
    assert (matching.latencies, matching.entry_latency_us, matching.feed_latency_factor) == (str(file), 0, 0.0)


def test_fees_are_rates_of_every_instrument() -> None:
    chosen = asked(fees="-0.0001, 0.0004")
    assert {(each.maker_fee_rate, each.taker_fee_rate) for each in chosen.instruments} == {("-0.0001", "0.0004")}
    assert chosen.matching.fees == "value"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "magic"}, "--exchange-model 'magic' is no model: choose displayed, touch, no_partial_fill"),
        ({"model": "none.py"}, "--exchange-model 'none.py': there is no such file"),
        ({"queue": "fast"}, "--queue-model 'fast' is no model: choose risk_averse, log"),
        ({"queue": "power1:x"}, "--queue-model 'power1:x': 'x' is no exponent, such as power3:2.5"),
        ({"queue": "power1:-1"}, "matching queue_power -1.0 must be 0 to 100"),
        ({"queue": "log:2"}, "--queue-model 'log:2': log has no exponent; power1, power2 and power3 have one"),
        ({"latency": "10"}, "--latency '10' is no time in whole us, such as 10ms"),
        ({"latency": "10ms,fast"}, "--latency 'fast' is no time"),
        ({"latency": "-1ms"}, "--latency '-1ms' is no time"),
        ({"latency": "nans"}, "--latency 'nans' is no time"),
        ({"latency": "0.5us"}, "--latency '0.5us' is no time in whole us"),
        ({"latency": "feed:x"}, "--latency 'feed:x': 'x' is no factor, such as feed:1.5"),
        ({"latency": "feed:-1"}, "matching feed_latency_factor -1.0 must be 0 to 1000"),
        ({"latency": "none.csv"}, "--latency 'none.csv': there is no such file"),
        ({"fees": "0.1"}, "--fees '0.1' is not MAKER,TAKER: two rates from -1 to 1"),
        ({"fees": "0.1,2"}, "--fees '0.1,2' is not MAKER,TAKER"),
        ({"fees": "cheap,0"}, "--fees 'cheap,0' is not MAKER,TAKER"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, str], message: str) -> None:
    with pytest.raises((CommandError, ConfigError)) as refused:
        asked(**given)
    assert message in str(refused.value)
