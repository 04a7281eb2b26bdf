"""Many logs as one value: which there are, what is known of each, and their rows as one table.

::

    runs = trainlog.runs("sweep/").filter("algo:sac lr=3e-4")
    runs.config.to_pandas()                          # one row for each run
    runs.table("stats", keys=["step", "reward"])     # one row for each of their rows, with run, task and seed

From a file to a table, each module imports only from those before it:

- `digest`, `facts`, `states`, `inspection`: what there is to know of one log, and how it is found out.
- `files`, `store`, `index`: of a tree of logs; kept in SQLite, and looked at again where files have changed.
- `run_info`, `filter`, `groups`, `notes`: a run as a row, the filter language, groups of runs, what people say of runs.
- `known_runs`, `runs`: many runs, without and with the rows of their logs.
- `fragments`, `plan`, `workers`: what engines and other processes are given. `compaction`: the rows as Parquet.
- `follow`, `live`, `live_table`, `group_curves`: the same for programs that run for long, such as the dashboard.
"""
