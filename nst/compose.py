"""Composing an experiment in Python: keyword arguments, checked by the same schema as the command line's keys."""

import os
from collections.abc import Mapping
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst import modes, schema
from nst.cli.messages import explain, refuse_unknown
from nst.config import Config
from nst.errors import InputError, did_you_mean


def configured(mode: str, keys: Mapping[str, Any]) -> Config:
    """The config of a mode with these keys: resolved, checked and frozen.

    A config group takes the name of an option, `optimizer="adam"`, or a mapping, `optimizer={"name": "adam", "lr":
    0.05}`; a key inside a section is also `{"optimizer.lr": 0.05}`. Raises InputError for what cannot be used.
    """
    groups = {path.name for path in schema.CONF.iterdir() if path.is_dir()} - {"mode"}
    choices, settings = [f"mode={mode}"], dict[str, Any]()
    for key, value in keys.items():
        inside = dict(value) if isinstance(value, Mapping) and key in groups else {}
        chosen = inside.pop("name", None) if isinstance(value, Mapping) else value
        if key in groups and chosen is not None:
            options = sorted(path.stem for path in (schema.CONF / key).glob("*.yaml"))
            if chosen not in options:
                near = did_you_mean(str(chosen), options)
                raise InputError(f"{key}={chosen}: no such option{near}; the options are {', '.join(options)}")
            choices.append(f"{key}={chosen}")
        settings |= {f"{key}.{name}": each for name, each in inside.items()} if key in groups else {key: value}
    if "mode" in keys:
        raise InputError("mode: each mode has a function of its own")
    modes.refuse_unused(modes.get(mode), list(keys))
    if ConfigStore.instance().repo.get("schema.yaml") is None:
        schema.register()
    try:
        with initialize_config_dir(str(schema.CONF), version_base="1.3"):
            composed = compose("config", overrides=choices)
        for key, value in settings.items():
            OmegaConf.update(composed, key, _plain(value), merge=False)
        refuse_unknown(composed)
        return schema.checked(composed, list(keys))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(" ".join((explain(error) or str(error)).split())) from None


def _plain(value: Any) -> Any:
    """A value as a config holds it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    return text.replace("${", "\\${") if isinstance(text, str) else text
