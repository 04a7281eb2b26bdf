"""Several FLOG files as one log: a run of several processes, each of which writes its own file.

The writers share nothing, no lock and no database, so that this works on any file system. The path says which files
belong together: a folder that is named like a log (``run.flog/``), or a pattern (``run-*.flog``).
"""
