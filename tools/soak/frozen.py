"""Imported where commands are forked, after what is slow to import: the garbage collector leaves that alone."""

import gc

gc.freeze()
