"""Many logs as one value: which there are, what is known of each, and their rows as one table.

::

    runs = trainlog.runs("sweep/").filter("algo:sac lr=3e-4")
    runs.config.to_pandas()                          # one row for each run
    runs.table("stats", keys=["step", "reward"])     # one row for each of their rows, with run, task and seed
"""

from __future__ import annotations

from trainlog.catalog.filter import Filter
from trainlog.catalog.fragments import Fragment, OnError, Schema
from trainlog.catalog.run_table import RunTable
from trainlog.catalog.runs import RunInfo, Runs, runs

__all__ = ["Filter", "Fragment", "OnError", "RunInfo", "RunTable", "Runs", "Schema", "runs"]
