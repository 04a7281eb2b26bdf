"""Checksums, rewinds, and the handling of damage."""
