"""The command line: arguments, messages, help, previous runs, sweeps, and configs from strangers."""
