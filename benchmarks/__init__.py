"""How fast memread reads, as ratios measured side by side. `make bench`, or `python -m benchmarks --help`."""
