"""Many logs as one value: which runs exist, what is known about each, and their rows as one table.

::

    runs = trainlog.runs("sweep/").filter("algo:sac lr=3e-4")
    runs.config.to_pandas()                          # one row per run
    runs.table("stats", keys=["step", "reward"])     # the rows of all runs, with run, task and seed

A module imports only from the ones listed before it:

- `digest`, `facts`, `states`, `inspection`: the facts about one log, and how they are found.
- `run_table`, `fragments`, `plan`, `workers`, `progress`: rows of many logs, and the work given to other processes.
- `files`, `store`, `index`: the logs of a tree, kept in SQLite; only changed files are looked at again.
- `filter`, `notes`, `groups`, `run_info`: the filter language, users' notes on runs, groups, a run as a row.
- `known_runs`, `compaction`, `runs`: many runs, first without the rows of their logs; the rows as Parquet.
- `follow`, `live`, `live_table`, `group_curves`: the same for long-running programs, such as the dashboard.
"""
