"""The zoo's own checks and exports, as plain commands from the bundle root, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from subprocess import Popen

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.data import load_net_with_metadata

from scripts.engines.export_check import check_exports, compare
from scripts.errors import InputError, ModelError
from scripts.io.exports import open_export
from scripts.uncertainty.lesion_mapper import LesionMapper
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.maps import MapName
from scripts.uncertainty.slice_smoothing import smooth_over_slices
from tests.bundle.commands import BUNDLE, Ended, WarmCommands, finish, start_plain
from tests.bundle.conftest import TINY_NETWORK

CONFIGS = ("--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json")
DOCS = BUNDLE / "docs" / "deploy.md"
SCHEMA = Path(__file__).parent / "schema" / "meta_schema_20240725.json"
ONNX = (
    "{'input_names':['image'],'output_names':['pred'],'dynamic_axes':{'image':{0:'batch'},'pred':{0:'batch'}},"
    "'opset_version':20,'verify':True,'rtol':1e-4,'atol':1e-5,'use_ort':True}"
)

REAL = os.environ.get("BRAIN_MRI_SCANS")
"""A folder of scans as for inference."""

Started = dict[str, Popen[str]]


@pytest.fixture(scope="module")
def network() -> AnomalyMapper:
    """The network of the configs with random weights, which give every pixel its own lesion probability."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mapper = LesionMapper(score="lesion", pooling="peak")
        torch.nn.init.normal_(mapper.heads.weight, std=0.05)
    return mapper.eval()


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory, network: AnomalyMapper) -> Path:
    """A folder with ``model.pt``, and the exports when their commands have ended."""
    folder = tmp_path_factory.mktemp("exports")
    torch.save(network.state_dict(), folder / "model.pt")
    return folder


@pytest.fixture(scope="module")
def started(exports: Path) -> Started:
    """All commands at once: most of their time goes into Python's imports."""
    weights = ("--ckpt_file", str(exports / "model.pt"))
    return {
        "metadata": start_plain(
            "verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", str(SCHEMA)
        ),
        "clvae metadata": start_plain(
            "verify_metadata", "--meta_file", "configs/clvae/metadata.json", "--filepath", str(SCHEMA)
        ),
        "shape": start_plain("verify_net_in_out", "--net_id", "network_def", *CONFIGS, "--n", "8"),
        "torchscript": start_plain(
            "ckpt_export", "network_def", "--filepath", str(exports / "model.ts"), *weights, *CONFIGS
        ),
        "onnx": start_plain(
            "onnx_export",
            "network_def",
            "--filepath",
            str(exports / "model.onnx"),
            *weights,
            *CONFIGS,
            "--use_trace",
            "True",
            "--converter_kwargs",
            ONNX,
        ),
    }


def end(started: Started, name: str) -> Ended:
    return finish(started[name]).check()


def slices(batch: int) -> torch.Tensor:
    """Return (batch, 1, 128, 128) random slices with background."""
    image = torch.rand(batch, 1, 128, 128, generator=torch.Generator().manual_seed(batch))
    image[..., :20] = 0
    return image


def expected(network: AnomalyMapper, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(image)


def test_metadata_fit_the_schema(started: Started) -> None:
    for name in ("metadata", "clvae metadata"):
        assert "metadata is verified with no error" in end(started, name).out


def test_metadata_tell_what_the_network_and_the_environment_are() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    output = metadata["network_data_format"]["outputs"]["pred"]
    assert tuple(output["channel_names"]) == tuple(MapName)
    # MONAI Label names the values of a mask by it; Slicer counts the names, whatever their values.
    assert output["channel_def"] == {"1": MapName.ANOMALY}
    assert output["num_channels"] == len(MapName)
    pinned = dict(
        line.split("==")
        for line in (BUNDLE.parent / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    tested = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    } | metadata["required_packages_version"]
    assert {name: pinned[name].split("+")[0] for name in tested} == tested


def test_network_takes_and_gives_the_shapes_of_the_metadata_at_n_8(started: Started) -> None:
    assert "verified with no error" in end(started, "shape").out


def test_network_takes_and_gives_the_shapes_of_the_metadata_at_n_1(commands: WarmCommands) -> None:
    ended = commands.run("verify_net_in_out", "--net_id", "network_def", *CONFIGS, "--n", "1").check()
    assert "verified with no error" in ended.out


def test_torchscript_equals_the_eager_network_and_carries_its_configs(
    started: Started, exports: Path, network: AnomalyMapper
) -> None:
    end(started, "torchscript")
    scripted, metadata, extra = load_net_with_metadata(
        str(exports / "model.ts"), more_extra_files=("inference.json",)
    )
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == len(MapName)
    config = json.loads(extra["inference.json"])
    assert config["network_def"]["_target_"] == "scripts.uncertainty.lesion_mapper.LesionMapper"
    for batch in (1, 3):
        image = slices(batch)
        with torch.no_grad():
            found = scripted(image)
        torch.testing.assert_close(found, expected(network, image), rtol=1e-4, atol=1e-5)


def test_onnx_equals_the_eager_network_at_any_batch_size(
    started: Started, exports: Path, network: AnomalyMapper
) -> None:
    end(started, "onnx")
    session = onnxruntime.InferenceSession(exports / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs() + session.get_outputs()] == ["image", "pred"]
    for batch in (1, 3):
        image = slices(batch)
        found = torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
        torch.testing.assert_close(found, expected(network, image), rtol=1e-4, atol=1e-5)


def test_onnx_has_the_opset_of_the_docs(started: Started, exports: Path) -> None:
    end(started, "onnx")
    model = onnx.load(exports / "model.onnx")
    (opset,) = (one.version for one in model.opset_import if not one.domain)
    assert f"ONNX, opset {opset}, any batch size" in DOCS.read_text()


def test_example_of_the_docs_runs(
    started: Started, exports: Path, network: AnomalyMapper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(started, "onnx")
    (example,) = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "models").symlink_to(exports)
    (exports / "calibration.json").write_text(json.dumps({"pixel_threshold": 0.5, "slice_smoothing": 6.0}))
    image = slices(4)
    np.save(tmp_path / "slices.npy", image.numpy())
    monkeypatch.chdir(tmp_path)
    names: dict[str, np.ndarray] = {}
    exec(compile(example, "example", "exec"), names)
    maps = expected(network, image)
    maps[:, 1] = smooth_over_slices(maps[:, 1], image[:, 0] > 0, torch.arange(4.0) * 5, 6.0)
    for channel, name in enumerate(("anomaly", "epistemic", "aleatoric"), start=1):
        np.testing.assert_allclose(names[name], maps[:, channel], rtol=1e-4, atol=1e-5)
    assert (names["mask"] == (names["anomaly"] > 0.5)).all()
    assert 0 < names["mask"].mean() < 1


def test_check_passes_an_export_and_refuses_one_of_other_weights(
    started: Started, exports: Path, network: AnomalyMapper
) -> None:
    other = torch.nn.Sequential(network, torch.nn.Hardtanh(max_val=0.5))  # a little less, in some places
    for name in ("torchscript", "onnx"):
        end(started, name)
    for path in (exports / "model.ts", exports / "model.onnx"):
        assert 0 <= compare(network, path, slices(3), batch_size=2) < 1e-4
        with pytest.raises(ModelError, match="expected the network's own maps, .*anomaly.* differ by up to"):
            compare(other, path, slices(3), batch_size=2)


def test_export_that_is_not_there_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found none; run make export first"):
        open_export(tmp_path / "model.ts")
    with pytest.raises(InputError, match="a .ts or .onnx file"):
        open_export(tmp_path / "model.pt")


@pytest.mark.slow
def test_shipped_weights_give_the_same_maps_exported(tmp_path: Path, tiny_cohort: Path) -> None:
    made = [tmp_path / "model.ts", tmp_path / "model.onnx"]
    weights = ("--ckpt_file", "models/model.pt", *CONFIGS)
    traced = ("--use_trace", "True", "--converter_kwargs", ONNX)
    commands = [
        start_plain("ckpt_export", "network_def", "--filepath", str(made[0]), *weights),
        start_plain("onnx_export", "network_def", "--filepath", str(made[1]), *weights, *traced),
    ]
    for command in commands:
        finish(command).check()
    assert set(check_exports(REAL or tiny_cohort, *made)) == {str(path) for path in made}


def test_training_has_every_property_of_a_bundle(tiny_options: tuple[str, ...], tmp_path: Path) -> None:
    workflow = make_workflow("train", "train.yaml", tiny_options, output_dir=str(tmp_path))
    assert workflow.check_properties() == []


def test_inference_has_every_property_of_a_bundle(
    random_model: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    folders = {
        "model_dir": str(random_model),
        "dataset_dir": str(tiny_cohort),
        "output_dir": str(tmp_path),
    }
    workflow = make_workflow("infer", "inference.json", TINY_NETWORK, **folders)
    assert workflow.check_properties() == []


def make_workflow(kind: str, config: str, options: tuple[str, ...], **given: str) -> ConfigWorkflow:
    pairs = dict(option.removeprefix("--").split("=") for option in options)
    values = {key: value if "/" in value else json.loads(value) for key, value in pairs.items()}
    workflow = ConfigWorkflow(
        str(BUNDLE / "configs" / config), workflow_type=kind, logging_file=False, **(values | given)
    )
    workflow.initialize()
    return workflow
