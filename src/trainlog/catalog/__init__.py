"""Many logs as one value: which there are, what is known of each, and their rows as one table.

::

    runs = trainlog.runs("sweep/").filter("algo:sac lr=3e-4")
    runs.config.to_pandas()                          # one row for each run
    runs.table("stats", keys=["step", "reward"])     # one row for each of their rows, with run, task and seed

A module imports only from those before it:

- `digest`, `facts`, `states`, `inspection`: what there is to know of one log, and how it is found out.
- `run_table`, `fragments`, `plan`, `workers`, `progress`: rows of many logs, and what other processes are given.
- `files`, `store`, `index`: the logs of a tree; kept in SQLite, and looked at again where files have changed.
- `filter`, `notes`, `groups`, `run_info`: the filter language, what people say of runs, groups, a run as a row.
- `known_runs`, `compaction`, `runs`: many runs, first without the rows of their logs; the rows as Parquet.
- `follow`, `live`, `live_table`, `group_curves`: the same for programs that run for long, such as the dashboard.
"""
