"""Several FLOG files as one log: a run of several processes, each of which writes a file of its own.

Nothing is shared between the writers, no lock and no database, so that it works on any file system. The path says
what belongs together: a folder that is named like a log (``run.flog/``), or a pattern (``run-*.flog``).
"""
