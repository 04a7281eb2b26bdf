"""The benchmarks: ``python -m benchmarks`` measures trainlog against its peers and prints tables of ratios.

A topic is one module with a function ``tables(scale)`` that yields `benchmarks.report.Table` objects; it is registered
by its name in ``TOPICS`` of `benchmarks.__main__`.
"""
