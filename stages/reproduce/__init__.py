"""`expclip reproduce`: the tables, which heads a row means, and the commands that make what is missing."""
