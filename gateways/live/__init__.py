"""Live market data of exchanges: native WebSocket streams as TICK records."""
