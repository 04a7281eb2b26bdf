"""Many frames at once to columns, and columns to frames."""
