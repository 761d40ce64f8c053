"""`expclip figures`: one module for what a figure is of, and one for each group of figures."""
