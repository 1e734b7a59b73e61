"""The variants of an ablation: a config with a few values replaced, and whose weights each of them reads."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai.bundle import ConfigParser

from scripts.engines.overrides import overridden
from scripts.errors import InputError, describe, find_bundle_error
from scripts.report.ablation_results import FULL

logger = logging.getLogger(__name__)

Config = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One row of the ablation's table."""

    name: str
    overrides: Mapping[str, Any]
    """Values of the config that it replaces, by key."""
    training: str
    """Name of the variant whose training it reads, often its own."""
    training_overrides: Mapping[str, Any]
    """Those of ``overrides`` that its weights depend on."""


def read_variants(config: Config, only: str | Sequence[str] | None = None) -> list[Variant]:
    """Return the variants of a config; one that changes nothing in it is ``full`` already, and left out.

    With ``only``, one that is wrong is left out too, unless it is wanted: another network lacks some keys.

    ``variants`` of the config has overrides by name, ``reads_weights`` the keys that weights do not depend
    on: variants that differ in nothing else share a training, that of the first of them.

    Raises:
        InputError: no variant ``full``, a name that is none for a folder, or an override that is wrong.
    """
    given = config["variants"]
    if given.get(FULL, None) != {}:
        raise InputError(
            f"Expected a variant {FULL} without overrides to compare with, got {given.get(FULL)}."
        )
    reads = set(config["reads_weights"])
    trainings: dict[str, Config] = {}
    variants = []
    for name, overrides in given.items():
        try:
            changed = _changed(config, name, overrides)
        except InputError:
            if only is None or name in _names(only):
                raise
            continue
        if name != FULL and changed == config:
            logger.info("Leaving out %s: in this configuration it is %s by another name.", name, FULL)
            continue
        weights = {key: value for key, value in overrides.items() if key.split("#")[0] not in reads}
        trained = _changed(config, name, weights)
        training = next((other for other, one in trainings.items() if one == trained), name)
        trainings.setdefault(training, trained)
        variants.append(Variant(name, overrides, training, weights))
    return variants


def choose_variants(variants: Sequence[Variant], names: str | Sequence[str] | None) -> list[Variant]:
    """Return the variants of these names, and the full one; None returns all.

    Raises:
        InputError: there is no variant of that name.
    """
    known = [variant.name for variant in variants]
    chosen = known if names is None else _names(names)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise InputError(f"Expected variants out of {', '.join(known)}, got {unknown[0]}; check --only.")
    return [variant for variant in variants if variant.name in (FULL, *chosen)]


def with_data(variants: Sequence[Variant], config: Config) -> list[Variant]:
    """Return the variants whose modalities are in the data; each other is left out with a warning."""
    kept = []
    for variant in variants:
        try:
            if "modalities" in variant.overrides:
                parser_of(overridden(config, variant.overrides)).get_parsed_content("scans")
        except Exception as error:
            if not isinstance(find_bundle_error(error), InputError):
                raise
            logger.warning("Leaving out %s, which the data do not allow: %s", variant.name, describe(error))
        else:
            kept.append(variant)
    return kept


def parser_of(config: Config) -> ConfigParser:
    """Return a fresh parser: nothing in it has been made yet."""
    parser = ConfigParser(config)
    parser.parse(reset=True)
    return parser


def _names(given: str | Sequence[str]) -> list[str]:
    """Return names from a list, or from text: the command line leaves ``[a,b_0.1]`` as it is, for its dot."""
    parts = given.strip("[] ").split(",") if isinstance(given, str) else given
    return [str(part).strip(" '\"") for part in parts]


def _changed(config: Config, name: str, overrides: Mapping[str, Any]) -> Config:
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
        raise InputError(f"Expected a variant's name of letters, digits and _ . + -, got {name!r}.")
    try:
        return overridden(config, overrides)
    except InputError as error:
        raise InputError(f"Variant {name}: {error}") from error
