"""Imported before anything else: the garbage collector rests until all tests are collected (conftest.py)."""

import gc

gc.disable()
