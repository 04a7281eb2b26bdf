"""One log, followed while it grows: by scans that go on where the last one ended, whatever its format.

::

    log          what was read of it so far
      columns      the rows of one kind of frame, column by column ...
      column_file  ... on disk, so that memory does not grow with the log
      cursor       a place in a log that somebody can come back to: the reader's positions

The dashboard and ``trainlog watch`` are made of it.
"""
