"""OKX, as the sandbox speaks: REST and WebSocket v5."""
