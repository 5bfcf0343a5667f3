"""Tools for developers, run from a checkout and not installed with nst."""
