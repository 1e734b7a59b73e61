"""What a user gives as ``--key value``: misspelt keys and wrong types are errors, words mean what they say.

MONAI adds unknown keys to the config in silence (a run with ``--epoch 3`` would train for the default
number of epochs and exit 0), passes ``--amp true`` on as text, and drops ``--key_grid None``.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.config_item import ComponentLocator
from monai.bundle.reference_resolver import ReferenceResolver
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS
from monai.utils import optional_import

from scripts.engines.override_values import is_plain, read_value
from scripts.errors import InputError


def read_overrides(*config_files: str, workflow: ConfigWorkflow | None = None) -> None:
    """Refuse keys of the running workflow's config that nothing in it could ever read; read the values.

    A key is fine when one of ``config_files`` has it, when the config refers to it (``@key``), when a
    component's signature takes it, or when MONAI's experiment tracking added it.

    Args:
        config_files: names of the files, in the workflow's own folder, that the config is made of; the
            first mention of one is its place.
        workflow: the running workflow; found on the call stack when None (an expression in a config
            has no other way to reach it).

    Raises:
        InputError: a key has no use, or a value is of another type than the config's own; the message
            names the key, and the closest known one.
    """
    workflow = running_workflow() if workflow is None else workflow
    if workflow is None:
        return
    files = [str(Path(workflow.config_root_path) / name) for name in dict.fromkeys(config_files)]
    known = ConfigParser.load_config_files(files)
    current = workflow.parser.get()
    _check_keys(current, known, workflow)
    given = {key: None for key in _keys_given_none(sys.argv) if key in known}
    for key, value in current.items():
        if key in known and value != known[key]:
            given.setdefault(key, _read(value, known[key], key))
    if given:
        current.update(given)
        workflow.parser.parse(reset=True)


def overridden(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a config with some values replaced, checked and read as those of the command line.

    Args:
        config: content of a config, as its parser holds it.
        overrides: values by key, nested ones as ``network_def#heads``.

    Raises:
        InputError: a key that nothing reads, or a value of another type.
    """
    for key in overrides:
        if key.split("#")[0] not in config:
            _refuse(key, [name for name in config if not name.startswith("_")])
    parser = ConfigParser(copy.deepcopy(dict(config)))
    for key, value in overrides.items():
        try:
            parser.set(copy.deepcopy(value), key, recursive=False)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"Expected a key of the config, got --{key}, of which a part is not there ({error})."
            ) from error
    changed: dict[str, Any] = parser.get()
    for key in dict.fromkeys(key.split("#")[0] for key in overrides):
        _check_nested(changed[key], config[key], key)
        if changed[key] != config[key]:
            changed[key] = _read(changed[key], config[key], key)
    return changed


def plain_settings(workflow: ConfigWorkflow | None = None) -> dict[str, Any]:
    """Return the top-level settings of the running workflow that are plain values, without expressions."""
    workflow = running_workflow() if workflow is None else workflow
    if workflow is None:
        return {}
    config = workflow.parser.get()
    # What tracking adds is about MONAI and MLflow; an address may even hold a password.
    others = {"_meta_", workflow.init_id, workflow.run_id, workflow.final_id, *_tracking_keys(config)}
    return {
        key: value for key, value in config.items() if is_plain(value) and key not in others - {"output_dir"}
    }


def references(config: object) -> Iterator[str]:
    """Yield the top-level keys that a part of a config refers to, by ``@`` or ``%``."""
    if isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            yield from references(value)
    elif isinstance(config, str):
        for found in ReferenceResolver.match_refs_pattern(config):
            yield found.split("::")[0]
        if config.startswith("%"):
            yield config[1:].replace("#", "::").split("::")[0]


def running_workflow() -> ConfigWorkflow | None:
    """Return the workflow that the caller runs in, None outside of one."""
    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigWorkflow):
            return candidate
        frame = frame.f_back
    return None


def _check_keys(current: dict[str, Any], known: dict[str, Any], workflow: ConfigWorkflow) -> None:
    if workflow.run_id not in current:
        raise InputError(
            f"Expected the name of something to run, got '{workflow.run_id}'; "
            f"{_hint(workflow.run_id, list(known), '')}"
        )
    allowed = {
        *known,
        *references(current),
        *_tracking_keys(current),
        "_meta_",
        workflow.run_id,
        workflow.init_id,
        workflow.final_id,
    }
    for key, value in current.items():
        if key not in allowed:
            _refuse(key, [name for name in known if not name.startswith("_")])
        if key in known:
            _check_nested(value, known[key], key)


def _keys_given_none(arguments: Sequence[str]) -> set[str]:
    """Return the keys given as ``--key None``: Fire reads a None, and MONAI takes that for not given."""
    pairs = [argument.partition("=")[::2] for argument in arguments]
    pairs += list(pairwise(arguments))
    return {key[2:].replace("-", "_") for key, value in pairs if key.startswith("--") and value == "None"}


def _read(value: Any, known: Any, place: str) -> Any:  # noqa: ANN401 - any config content
    """Return ``value`` with its words and numbers read, at every depth where the user changed something."""
    if isinstance(value, dict) and isinstance(known, dict):
        return {
            key: _read(one, known[key], f"{place}#{key}") if key in known else one
            for key, one in value.items()
        }
    if isinstance(value, list) and isinstance(known, list) and any(isinstance(one, dict) for one in known):
        read = [
            _read(*pair, f"{place}#{index}") for index, pair in enumerate(zip(value, known, strict=False))
        ]
        return read + value[len(read) :]
    return value if value == known else read_value(value, known, place)


def _check_nested(current: Any, known: Any, place: str) -> None:  # noqa: ANN401 - any config content
    if isinstance(current, list) and isinstance(known, list):
        for index, (one, other) in enumerate(zip(current, known, strict=False)):
            _check_nested(one, other, f"{place}#{index}")
    if not (isinstance(current, dict) and isinstance(known, dict)):
        return
    if current.get("_target_") != known.get("_target_"):
        return
    for key, value in current.items():
        if key in known:
            _check_nested(value, known[key], f"{place}#{key}")
        elif not key.startswith("_") and not _is_new_component(value, known):
            names = [*known, *_parameters(known.get("_target_"))]
            if key not in names:
                _refuse(f"{place}#{key}", [f"{place}#{name}" for name in names if not name.startswith("_")])


def _is_new_component(value: Any, known: dict[str, Any]) -> bool:  # noqa: ANN401 - any config content
    """Tell a component that an override file adds to a mapping of them, a metric say, from a misspelt key."""
    return "_target_" not in known and isinstance(value, dict) and "_target_" in value


def _parameters(target: str | None) -> list[str]:
    """Return the parameter names of a config's ``_target_``, those of its base classes for ``**kwargs``."""
    if not isinstance(target, str) or target.startswith("$"):
        return []
    found = ComponentLocator().get_component_module_name(target) if "." not in target else None
    module, _, name = (f"{found}.{target}" if isinstance(found, str) else target).rpartition(".")
    component, exists = optional_import(module, name=name)
    if not exists:
        return []
    classes = inspect.getmro(component) if inspect.isclass(component) else (component,)
    names: list[str] = []
    for one in classes:
        if one is not object:
            names.extend(inspect.signature(one.__init__ if inspect.isclass(one) else one).parameters)
    return names


def _tracking_keys(current: Mapping[str, Any]) -> set[str]:
    """Return what MONAI's ``--tracking`` adds to a config, or reads from it, where it is switched on."""
    settings: dict[str, Any] = DEFAULT_EXP_MGMT_SETTINGS["mlflow"]
    keys = {"save_execute_config", *settings["configs"]} - set(settings["handlers_id"])
    return keys if is_tracked(current) else set()


def is_tracked(config: Mapping[str, Any]) -> bool:
    """Tell whether a config is one that MONAI's ``--tracking`` has added to."""
    return "save_execute_config" in config


def _refuse(key: str, names: Sequence[str]) -> None:
    raise InputError(
        f"Expected a key of the config, got --{key}, which nothing reads; {_hint(key, names, '--')}"
    )


def _hint(word: str, names: Sequence[str], prefix: str) -> str:
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {prefix}{close[0]}?" if close else "docs/configuration.md lists the keys."
