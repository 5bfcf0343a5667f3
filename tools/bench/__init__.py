"""The benchmark: how fast nst is, compared with a baseline and with a lower bound. `python -m tools.bench --help`."""
