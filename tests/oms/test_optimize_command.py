"""What ``zoms optimize`` does about the process that it runs in."""

from __future__ import annotations

import signal

import pytest

from oms.commands.optimize import ended_in_order


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_that_asks_for_the_end_unwinds_the_command(number: signal.Signals) -> None:
    unwound = []

    def command() -> None:
        try:
            signal.raise_signal(number)  # to this thread: one sent to the process may go to another
            pytest.fail("nothing came of it")
        finally:
            unwound.append(number)

    before = signal.signal(number, signal.SIG_DFL)  # it may be passed over, as under nohup
    try:
        with pytest.raises(SystemExit) as ended, ended_in_order():
            command()
        assert (ended.value.code, unwound) == (128 + number, [number])
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_signal_that_is_passed_over_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with ended_in_order():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
