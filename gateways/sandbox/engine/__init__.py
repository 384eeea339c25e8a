"""The compiled matching engine of the sandbox exchange: one instrument, price before time."""
