"""Columns from many frames at once, and frames from columns."""
