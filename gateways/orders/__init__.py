"""The order side of gateways: requests to an exchange, what becomes of them, and reports of it to the core."""
