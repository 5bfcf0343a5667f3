"""The one exception for what a user can put right, and the hint it carries."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """What was given cannot be used. The message is one line: what was wrong, where, what would be right."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'style'?"` for `word` "stlye", or an empty string when nothing in `known` is close."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
