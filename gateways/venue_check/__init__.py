"""Whether a venue does what zoms counts on: tried with the user's own keys, by the gateways that trade there."""
