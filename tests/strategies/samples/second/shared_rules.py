"""Rules of the second strategy."""

from strategies.api import function


@function
def number_of_lots(ticks):
    return ticks * 100
