"""The zoo's own checks and exports, as plain commands from the bundle root, each in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import Popen

import onnxruntime
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.data import load_net_with_metadata

from scripts.uncertainty.mapper import CHANNELS, AnomalyMapper, VAEMapper
from tests.bundle.commands import BUNDLE, Ended, WarmCommands, finish, start_plain
from tests.bundle.conftest import TINY_NETWORK

CONFIGS = ("--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json")
SCHEMA = Path(__file__).parent / "schema" / "meta_schema_20240725.json"
ONNX = (
    "{'input_names':['image'],'output_names':['pred'],'dynamic_axes':{'image':{0:'batch'},'pred':{0:'batch'}},"
    "'verify':True,'rtol':1e-4,'atol':1e-5,'use_ort':True}"
)

Started = dict[str, Popen[str]]


@pytest.fixture(scope="module")
def network() -> AnomalyMapper:
    """The network of the configs with random weights, which show every pixel its own variance."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mapper = VAEMapper(encoder_attention=[2, 4], decoder_attention=[1, 3], key_grid=8)
        torch.nn.init.normal_(mapper.log_variance_head.weight, std=0.05)
        torch.nn.init.normal_(mapper.mean_head.weight, std=0.03)
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
    assert tuple(output["channel_names"]) == CHANNELS
    # MONAI Label names the values of a mask by it; Slicer counts the names, whatever their values.
    assert output["channel_def"] == {"1": CHANNELS[1]}
    assert output["num_channels"] == len(CHANNELS)
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
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == len(CHANNELS)
    config = json.loads(extra["inference.json"])
    assert config["network_def"]["_target_"] == "scripts.uncertainty.mapper.VAEMapper"
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
