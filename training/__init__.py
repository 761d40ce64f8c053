"""How the miniature was made. Not installed: run it from a clone with `make miniature`."""
