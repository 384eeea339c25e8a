"""At the first bar's close: an order that TWAP works, a lot a minute."""

from oms.algos import twap
from strategies.algorithms import algorithm
from strategies.api import BUY, memory, work_order

PARAMETERS = {"px": 0.0}
TWAP = algorithm(twap, duration_s=300.0, slices=5.0, time_spread=0.0, size_spread=0.0)


def on_bar(st, me, bar):
    if memory(st, me)[0] == 0:
        memory(st, me)[0] = work_order(st, me, TWAP, BUY, 0, 5, 0)
