"""Rules of the first strategy."""

from strategies.api import function


@function
def number_of_lots(ticks):
    return ticks + 1
