"""`python -m nst.sweep_config experiment=NAME`: print a W&B sweep as YAML, whose agents run nst with their values.

python -m nst.sweep_config experiment=style_weight > sweep.yaml
wandb sweep sweep.yaml
wandb agent ID
"""

import sys
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from nst import schema
from nst.cli import spelling
from nst.cli.messages import explain
from nst.errors import REFUSED, InputError, one_line
from nst.text import open_streams

METRIC = "optimized_metric"
"""In the summary of each tracked run: the number that its `optimized_metric` says, the less the better."""


def main() -> None:
    """Run the command line. Ends with status REFUSED and one line if there is nothing that W&B can sweep."""
    open_streams()
    words = sys.argv[1:]
    if not words or {"-h", "--help"} & set(words):
        print(f"usage: python -m nst.sweep_config experiment=NAME key=value …\n\n{__doc__}")
        return
    try:
        print(yaml.safe_dump(sweep_config(spelling.respelled(["-m", *words])[1:]), sort_keys=False), end="")
    except (InputError, HydraException, OmegaConfBaseException) as error:
        message = one_line(error) if isinstance(error, InputError) else " ".join((explain(error) or str(error)).split())
        print(f"nst: {message}", file=sys.stderr)
        sys.exit(REFUSED)


def sweep_config(words: list[str]) -> dict[str, Any]:
    """The W&B sweep of a command line of nst: a grid of its lists, or a Bayesian search of its intervals.

    words: as after `nst -m`. Raises InputError for `zip`, and if nothing is swept.
    """
    schema.register()
    parser = OverridesParser.create()
    typed = parser.parse_overrides(words)
    fixed = [each for each in typed if not each.is_sweep_override()]
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        composed = compose("config", overrides=[_text(each) for each in fixed], return_hydra_config=True)
    if composed.zip is not None:
        raise InputError("zip: W&B's sweeps know only products of lists; leave it out, or sweep with nst -m")
    params = [f"{key}={value}" for key, value in (composed.hydra.sweeper.params or {}).items()]
    given = {_key(each) for each in typed}
    swept = [each for each in parser.parse_overrides(params) if _key(each) not in given]
    swept += [each for each in typed if each.is_sweep_override()]
    parameters = {_key(each): _parameter(each) for each in swept}
    if composed.repeats > 1:
        parameters["seed"] = {"values": list(range(composed.seed, composed.seed + composed.repeats))}
    if not parameters:
        raise InputError("nothing is swept: give an experiment that sweeps, or a list such as style_weight=1e3,1e6")
    once = [_text(each) for each in fixed if _key(each) != "repeats"]
    is_grid = all("values" in each for each in parameters.values())
    command = ["${env}", "${interpreter}", "-m", "nst.run", "hydra.mode=RUN", *once, "${args_no_hyphens}"]
    return {
        "method": "grid" if is_grid else "bayes",
        "metric": {"name": METRIC, "goal": "minimize"},
        "command": command,
        "parameters": parameters,
    }


def _key(override: Override) -> str:
    return str(override.key_or_group)


def _text(override: Override) -> str:
    return str(override.input_line)


def _parameter(override: Override) -> dict[str, Any]:
    """A swept key as W&B has it. Raises InputError for a sweep that W&B does not know."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        log = "log" in value.tags
        return {"distribution": "log_uniform_values" if log else "uniform", "min": value.start, "max": value.end}
    if isinstance(value, ChoiceSweep | RangeSweep):
        return {"values": [_plain(text) for text in override.sweep_string_iterator()]}
    return {"values": [_plain(override.get_value_element_as_str())]}


def _plain(text: str) -> Any:
    """A value of a list: a number, or the text that stands in a command line of nst."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    try:
        return value if isinstance(value, int | bool) else float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
