"""Finds the frames of a file, damaged or not."""
