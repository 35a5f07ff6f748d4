"""A raw client that holds many WebSockets: `load.c`, and how Python drives it."""
