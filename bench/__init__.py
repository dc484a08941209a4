"""The benchmarks of claude-gatewayd beside others: `python -m bench.run`."""
