"""The benchmarks: ``python -m benchmarks`` measures trainlog beside its peers and prints tables of ratios.

A topic is one module with a function ``tables(scale)`` that yields `benchmarks.report.Table` objects; it joins in by
its name in ``TOPICS`` of `benchmarks.__main__`.
"""
