"""What things cost, as ratios measured in one run: ``make bench``, or ``python -m benchmarks.runs`` for one."""
