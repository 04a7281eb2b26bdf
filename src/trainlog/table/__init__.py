"""Frames of one kind as numpy columns that record which rows have a value."""
