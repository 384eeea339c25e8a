"""The known answer of hftbacktest, with two clocks, in our core: every figure of it."""

from __future__ import annotations

from benchmarks.backtest import KNOWN, Answer, check, instrument_of, read_streams, run_ours, settings_for
from tests.backtest.test_oracle import DATA


def test_our_core_gives_the_known_answer_on_two_clocks() -> None:
    (name,) = KNOWN
    traded = instrument_of("0.1", "0.001", inverse=False, contract="1")
    answer, _ = run_ours(read_streams(DATA / name, traded, inverse=False), settings_for(traded))
    check(answer, Answer(*KNOWN[name]))
