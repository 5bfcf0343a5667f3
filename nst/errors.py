"""What a run ends with when it does not end well: exceptions, the hint they carry, and exit statuses."""

import signal
from collections.abc import Iterable
from difflib import get_close_matches

FAILED, REFUSED, DIVERGED, STOPPED = 1, 2, 3, 128
"""Exit statuses: something broke; input cannot be used; a run diverged; a signal, whose number is added to that."""


class InputError(ValueError):
    """What was given cannot be used. The message is one line: what was wrong, where, what would be right."""


class Diverged(ArithmeticError):
    """What is optimised cannot be gone on from. The message is one line: what happened when, what would help."""


class Stopped(KeyboardInterrupt):
    """A signal has ended a run, which has saved what it had."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def one_line(error: BaseException) -> str:
    """What is said of an error where there is one line for it."""
    kind = "" if isinstance(error, InputError | Diverged) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'style'?"` for `word` "stlye", or an empty string when nothing in `known` is close."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
