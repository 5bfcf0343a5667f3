"""The one exception for what a user can put right, the hint it carries, and exit statuses."""

from collections.abc import Iterable
from difflib import get_close_matches

FAILED, REFUSED, INTERRUPTED = 1, 2, 130
"""Exit statuses: a job of a sweep broke; input cannot be used; Ctrl-C or a kill."""


class InputError(ValueError):
    """What was given cannot be used. The message is one line: what was wrong, where, what would be right."""


def one_line(error: BaseException) -> str:
    """What is said of an error where there is one line for it."""
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'style'?"` for `word` "stlye", or an empty string when nothing in `known` is close."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
