"""The HTTP API: routers that open products and tables, and make nothing."""
