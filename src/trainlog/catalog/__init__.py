"""Many logs as one value: which there are, what is known of each, and their rows as one table.

::

    runs = trainlog.runs("sweep/").filter("algo:sac lr=3e-4")
    runs.config.to_pandas()                          # one row for each run
    runs.table("stats", keys=["step", "reward"])     # one row for each of their rows, with run, task and seed

`follow`, `live` and `live_table` are the same for programs that run for long, such as the dashboard.
`runs` has the function and what it returns, `filter` the language, `fragments` what engines are given.
"""
