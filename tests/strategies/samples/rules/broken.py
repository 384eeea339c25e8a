"""A risk rule that fails on some orders."""

LAST = 3


def check_order(st, number, command):
    largest = 100
    if largest // (command["qty"] - 13) == LAST:
        return
