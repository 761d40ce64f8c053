"""Families whose models are files that `weights convert` made: a CLIP by OpenAI's names, and `clip_head.…`."""
