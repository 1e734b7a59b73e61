"""The route of servers: preprocessing, network, inferer, postprocessing of the config, and no more of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scripts.engines.gated_inferer import GatedInferer
from scripts.engines.scope_gate import ScopeGate
from scripts.errors import InputError, ScopeError
from scripts.preflight.report import refuse
from scripts.uncertainty.maps import MASK, MapName
from scripts.uncertainty.slice_inferer import BrainSliceInferer
from tests import people
from tests.engines.test_scope_gate import LIKE, ODD, lean_writer, map_one, model
from tests.heads import rotation, save_scan
from tests.inference_route import infer, open_config

__all__ = ["lean_writer", "model"]

NAME = "30-another"


def serve(
    folder: Path, model: Path, path: Path, shown: dict[str, Any] | None = None, **options: object
) -> NDArray[Any]:
    """Map one file as a server does, and return what it shows."""
    options |= {f"displayable_configs#{key}": value for key, value in (shown or {}).items()}
    config = open_config(folder / "nothing", folder / "nothing", model, **options)
    preprocessing, inferer, network, postprocessing = (
        config.get_parsed_content(part) for part in ("preprocessing", "inferer", "network", "postprocessing")
    )
    data = preprocessing({"image": str(path)})
    data["pred"] = inferer(data["image"][None], network)[0]
    return postprocessing(data)["pred"].numpy()[0]


def scan(folder: Path, name: str, values: np.ndarray) -> Path:
    return save_scan(folder / "scans" / f"{name}.nii.gz", values, people.AFFINE)


@pytest.mark.parametrize("name", ODD)
def test_refuses_what_run_inference_refuses_with_the_same_words(
    tmp_path: Path, model: Path, name: str
) -> None:
    with pytest.raises(ScopeError) as expected:
        map_one(tmp_path, model, name, ODD[name])
    with pytest.raises(ScopeError) as error:
        serve(tmp_path, model, tmp_path / "scans" / f"{name}.nii.gz")
    sentence = str(error.value).removeprefix(f"{name}.nii.gz: ")
    assert str(expected.value).endswith(f"{name}: {sentence}")
    assert error.value.exit_code == 3
    (finding,) = error.value.findings
    assert finding["numbers"]["p"] < 0.01


def test_gives_the_maps_and_the_mask_that_run_inference_writes(tmp_path: Path, model: Path) -> None:
    """On a scan that lies askew and is stored from left to right: only the inverse brings maps back."""
    affine = rotation(8, 5) @ people.AFFINE @ np.diag([-1, 1, 1, 1])
    path = save_scan(tmp_path / "scans" / f"{NAME}.nii.gz", LIKE[NAME], affine)
    run = infer(path.parent, tmp_path / "maps", model, scope="off")
    for name in (*MapName, MASK):
        shown = serve(tmp_path, model, path, {"output": str(name)}, scope="off")
        assert shown.dtype == (np.uint8 if name == MASK else np.float32)
        assert np.array_equal(shown, run.values(NAME, str(name)))
    assert 0 < shown.mean() < 0.5


def test_shows_the_mask_unless_asked_for_more(tmp_path: Path, model: Path) -> None:
    path = scan(tmp_path, NAME, LIKE[NAME])
    anomaly = serve(tmp_path, model, path, {"output": "anomaly"})
    threshold = float(np.quantile(anomaly, 0.9))
    default = serve(tmp_path, model, path)
    chosen = serve(tmp_path, model, path, {"threshold": threshold})
    assert np.array_equal(chosen, anomaly > threshold)
    assert not np.array_equal(default, chosen)


def test_without_a_calibration_a_mask_needs_a_threshold(tmp_path: Path, model: Path) -> None:
    path = scan(tmp_path, NAME, LIKE[NAME])
    with pytest.raises(RuntimeError, match="Failed to instantiate") as error:
        serve(tmp_path, model, path, alpha=0.25)
    assert isinstance(error.value.__cause__, InputError)
    assert serve(tmp_path, model, path, {"threshold": 0.1}, alpha=0.25).any()
    assert serve(tmp_path, model, path, {"output": "anomaly"}, alpha=0.25).any()


def test_warnings_are_logged(tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = scan(tmp_path, "30-knee", ODD["30-knee"])
    with caplog.at_level(logging.WARNING):
        assert serve(tmp_path, model, path, scope="warn").any()
    assert "30-knee.nii.gz: expected a scan like" in caplog.text


def test_what_has_no_name_is_a_scan() -> None:
    class Refuse(ScopeGate):
        def examine(self, *_: object) -> Any:
            return refuse("scope", "a", "b", kind=ScopeError)

    with pytest.raises(ScopeError, match="^scan: a; b$"):
        GatedInferer(BrainSliceInferer(), Refuse("none"))(torch.zeros(1, 1, 8, 8, 2), torch.nn.Identity())
