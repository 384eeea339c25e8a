"""A risk rule: no order of an odd number of lots."""

from strategies.rules import refuse


def check_order(st, number, command):
    if command["qty"] % 2 == 1:
        refuse(st)
