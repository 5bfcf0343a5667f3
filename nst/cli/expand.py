"""Sweeps beyond the product of lists: keys that go together (`zip`), and the same with other seeds (`repeats`)."""

from collections.abc import Mapping, Sequence
from itertools import islice
from math import prod
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write

from nst.cli.arguments import as_typed
from nst.cli.spelling import quoted
from nst.config import MOST_REPEATS
from nst.errors import InputError

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
"""Hydra's own sweeper, which takes all combinations."""
MOST_JOBS = 10_000
"""Of one sweep."""
_rows: list[list[str]] = []
"""What each number of `zip` stands for: the overrides of a job."""


def expand(config: DictConfig) -> None:
    """Let a sweep that is about to start go over the rows of `zip` and over seeds. Raises InputError if it cannot.

    The seeds begin with the config's. config: Hydra's, which its sweeper reads afterwards.
    """
    _rows.clear()
    together = OmegaConf.to_container(config.zip) if isinstance(config.zip, DictConfig | ListConfig) else config.zip
    if together is None and config.repeats == 1:
        return
    if config.hydra.sweeper._target_ != BASIC_SWEEPER:
        raise InputError("zip and repeats: a search chooses its own runs; leave out hydra/sweeper=, or them")
    words = [word for word in as_typed(config.hydra.overrides.task) if _key(word) != "zip"]
    params = {str(key): value for key, value in (config.hydra.sweeper.params or {}).items()}
    if together is not None:
        rows = [[*row, f"zip={written(together)}"] for row in rows_of(together)]  # the report sees what goes together
        if taken := sorted(set(together) & {*map(_key, words), *params}):
            raise InputError(f"zip: sets {taken[0]} already; leave out {taken[0]}=")
        _rows[:] = rows
        params = {"zip": ",".join(map(str, range(len(rows)))), **params}
    if config.repeats > MOST_REPEATS:
        raise InputError(f"repeats={config.repeats}: must be at most {MOST_REPEATS}")
    if config.repeats > 1:
        seeds = [word for word in words if _key(word) == "seed"]
        if "seed" in params or any("," in word for word in seeds) or (together and "seed" in together):
            raise InputError(f"repeats={config.repeats}: the seeds are chosen already; leave out repeats=, or seed=")
        first = int(config.seed)
        words = [word for word in words if word not in seeds]
        words.append("seed=" + ",".join(map(str, range(first, first + config.repeats))))
    with read_write(config), open_dict(config):
        config.hydra.overrides.task, config.hydra.sweeper.params = words, params


def implied(words: Sequence[str]) -> list[str]:
    """The flag of a sweep, for a command line that has none and gives `zip` or `repeats`."""
    sweeps = {"-m", "--multirun"} & set(words)
    return ["-m"] if {"zip", "repeats"} & {*map(_key, words)} and not sweeps else []


def rows_of(together: Any) -> list[list[str]]:
    """The overrides of each row of {key: values, …}. Raises InputError for anything else, and for unequal lengths."""
    if not isinstance(together, Mapping) or not together or not all(_is_list(each) for each in together.values()):
        raise InputError(f"zip={together}: must be lists that go together, such as {{content:[a,b],style:[c,d]}}")
    lengths = {key: len(values) for key, values in together.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise InputError(f"zip: all lists must be equally long; {listed}")
    return [
        [f"{key}={written(value)}" for key, value in zip(together, row, strict=True)]
        for row in zip(*together.values(), strict=True)
    ]


def _is_list(values: Any) -> bool:
    return isinstance(values, list) and bool(values)


def written(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(written, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value) if isinstance(value, str) else repr(value)


def install() -> None:
    """Let Hydra's sweeper put in each job, for the number of a row of `zip`, the row's overrides.

    And let it refuse more than MOST_JOBS before it lists them.
    """
    sweeper: Any = Plugins.instance().class_name_to_class[BASIC_SWEEPER]  # not the one that an import gives
    split = sweeper.split_arguments
    if getattr(split, "zips", False):
        return

    def split_arguments(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        if (jobs := prod(map(_values, overrides))) > MOST_JOBS:
            raise InputError(f"-m: asks for {jobs} jobs or more; a sweep has at most {MOST_JOBS}")
        batches = split(overrides, max_batch_size)
        return [[[word for given in job for word in _unfolded(given)] for job in batch] for batch in batches]

    split_arguments.zips = True  # type: ignore[attr-defined]
    sweeper.split_arguments = staticmethod(split_arguments)


def _values(override: Override) -> int:
    """How many values an override goes over; a range is counted up to MOST_JOBS + 1."""
    value = override.value()
    if isinstance(value, RangeSweep):
        return sum(1 for _ in islice(value.range(), MOST_JOBS + 1))
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


def _unfolded(word: str) -> list[str]:
    key, _, number = word.partition("=")
    return _rows[int(number)] if key == "zip" and _rows else [word]


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]
