"""The formats, one room each."""
