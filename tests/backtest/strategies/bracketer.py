"""At the first bar's close: an entry at the market, with a target and a stop at given prices."""

from strategies.api import LAST, bracket, memory, parameter

PARAMETERS = {"side": 1.0, "lots": 5.0, "target_px": 1_010.0, "stop_px": 990.0}
SIDE, LOTS, TARGET, STOP = range(4)


def on_bar(st, me, bar):
    if memory(st, me)[0] == 0:
        memory(st, me)[0] = bracket(
            st,
            me,
            int(parameter(st, me, SIDE)),
            0,
            int(parameter(st, me, LOTS)),
            int(parameter(st, me, TARGET)),
            int(parameter(st, me, STOP)),
            LAST,
            0,
        )
