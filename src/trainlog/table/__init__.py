"""Frames of one kind as numpy columns that know which rows have a value."""
