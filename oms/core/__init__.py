"""Compiled kernels: book, orders, risk, positions. No I/O, no clock, no allocation in the loop, no exchange."""
