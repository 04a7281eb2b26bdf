"""Checksums, rewinds, and what is done about damage."""
