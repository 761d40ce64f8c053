"""Labels for pictures that nobody has labelled."""
