"""Train for a unit of an ablation and measure it, in this process, each in a fresh parser of the config."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from monai.bundle import ConfigParser
from monai.utils import set_determinism

from scripts.engines.ablation_settings import unit_settings
from scripts.engines.ablation_units import UnitResult, load_unit
from scripts.engines.ablation_variants import Config, Variant, parser_of
from scripts.engines.overrides import overridden
from scripts.errors import BundleError, InputError, describe, find_bundle_error
from scripts.io.run_folder import read_settings

logger = logging.getLogger(__name__)


class Unit(NamedTuple):
    """What is finished at once."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """Of its files, without suffix."""
        return f"{self.variant.name}-{self.seed}"


class UnitRunner:
    """Runs units by two items of the config: ``run`` trains, ``measure`` gives a :class:`UnitResult`.

    Nothing here knows which network that is.

    Args:
        config: content of the config, without any variant's values.
        trainings: the variants that others read the weights of, by name.
        folder: gets ``trainings/<variant>/seed_<n>`` and ``units/<variant>-<n>.json`` and ``.csv``.
        identity: what else a unit's settings are: dataset, modality, configuration, split_seed.
    """

    def __init__(
        self, config: Config, trainings: Mapping[str, Variant], folder: Path, identity: Mapping[str, Any]
    ) -> None:
        self.config, self.trainings, self.identity = config, trainings, identity
        self.folder = folder.absolute()

    def path(self, unit: Unit) -> Path:
        """Return the file of a unit that is done."""
        return self.folder / "units" / f"{unit.name}.json"

    def load(self, unit: Unit) -> UnitResult:
        """Return a unit that is done.

        Raises:
            InputError: it was made with other settings than those of the config.
        """
        path = self.path(unit)
        result = load_unit(path)
        wanted = json.loads(json.dumps(self._settings(unit, result.settings)))
        for name, value in wanted.items():
            stored = result.settings.get(name, "unset")
            if stored != value:
                raise InputError(
                    f"{path}: expected a unit with {name} {json.dumps(value)}, found one with "
                    f"{json.dumps(stored)}; give another --output_dir, or remove the file to run it anew."
                )
        return result

    def train(self, name: str, seed: int) -> BundleError | None:
        """Train, go on with a training, or find it finished; return what went wrong."""
        logger.info("Training %s, seed %d.", name, seed)
        unit = Unit(self.trainings[name], seed)
        try:
            set_determinism(seed)
            _run(parser_of(self._config(unit, unit.variant.training_overrides)), "run")
        except Exception as error:  # the other units go on; it is reported at the end
            return _without_frames(error)
        finally:
            gc.collect()  # engines and their handlers hold each other
        return None

    def measure(self, unit: Unit, columns: Mapping[str, Any]) -> UnitResult | BundleError:
        """Measure a unit whose training is done, and write its file; return what went wrong.

        Args:
            unit: the unit.
            columns: further ones of its rows.
        """
        config = self._config(unit, unit.variant.overrides)
        try:
            result: UnitResult = parser_of(config).get_parsed_content("measure")
            training = read_settings(Path(config["output_dir"]))
            known = {"variant": unit.variant.name, "slices_train": training.get("slices"), **columns}
            rows = [{**row, **known} for row in result.rows]
            result = UnitResult(result.slices, result.score, rows, self._settings(unit, training))
            result.save(self.path(unit))
        except Exception as error:  # as above
            return _without_frames(error)
        return result

    def _config(self, unit: Unit, overrides: Mapping[str, Any]) -> Config:
        """Return the config of a unit, for its training or with all of its variant's values."""
        output_dir = self.folder / "trainings" / unit.variant.training / f"seed_{unit.seed}"
        return overridden(self.config, overrides) | {
            "seed": unit.seed,
            "ablation_dir": str(self.folder),
            "output_dir": str(output_dir),
        }

    def _settings(self, unit: Unit, names: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a unit depends on, by ``names`` of its training's settings and more."""
        config = self._config(unit, unit.variant.overrides)
        settings = unit_settings(config, {*names, *config["reads_weights"]})
        return settings | {"overrides": dict(unit.variant.overrides), **self.identity}


def _run(parser: ConfigParser, name: str) -> None:
    """Run a list of a config one by one, as MONAI's workflow does."""
    for index in range(len(parser[name])):
        parser.get_parsed_content(f"{name}#{index}")


def _without_frames(error: Exception) -> BundleError:
    """Return an error of the same class without its traceback, which holds data and network in memory."""
    known = find_bundle_error(error)
    if known is not None:
        return type(known)(str(known))
    logger.error("An error of a library or of this bundle:", exc_info=error)
    return BundleError(describe(error))
