"""How a run ends when it does not finish: exceptions, hints, and exit statuses."""

import signal
from collections.abc import Iterable
from difflib import get_close_matches

FAILED, REFUSED, DIVERGED, STOPPED = 1, 2, 3, 128
"""Exit statuses: an error of ours; input that cannot be used; a run that diverged; a signal, whose number is added."""
LONGEST_LINE = 2000
"""Characters of an error, which may quote a file."""
LONGEST_WORD = 200
"""Characters of a word that is compared with known ones."""


class InputError(ValueError):
    """Input cannot be used. The message is one line: what was wrong, where, what would be right."""


class Diverged(ArithmeticError):
    """The optimization cannot go on. The message is one line: what happened, at which step, and what would help."""


class Stopped(KeyboardInterrupt):
    """A signal ended a run, which has saved what it had."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def one_line(error: BaseException) -> str:
    """An error as one line: its type, unless it is one of those above, and its message."""
    kind = "" if isinstance(error, InputError | Diverged) else f"{type(error).__name__}: "
    return as_line(kind + str(error))


def as_line(text: str) -> str:
    """A text as one line, cut off where it gets too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'style'?"` for `word` "stlye"; an empty string if nothing in `known` is close."""
    if len(word) > LONGEST_WORD:  # comparing takes the square of its length
        return ""
    words = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), list(words), n=1, cutoff=0.6)
    return f"; did you mean '{words[close[0]]}'?" if close else ""
