"""One log, followed while it grows: by scans that continue where the last one ended, whatever its format.

::

    log          the part of the log that was read so far
      columns      the rows of one kind of frame, column by column ...
      column_file  ... on disk, so that memory does not grow with the log
      cursor       a place in a log from which a client can resume: the reader's positions

The dashboard and ``trainlog watch`` use it.
"""
