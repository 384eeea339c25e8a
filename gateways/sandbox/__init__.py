"""A sandbox exchange: real venues' wire protocols on loopback, over a recorded stream."""
