"""zoms: an order-management system for crypto trading with a compiled hot path."""
