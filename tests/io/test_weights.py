import json
import pickle
import zipfile

import pytest
import torch
from small_networks import small_images, small_mapper, small_vae

from scripts.errors import ModelError
from scripts.io.digest import file_sha256
from scripts.io.weights import load_weights, weights_sha256


class Payload:
    """A pickle that would make a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(small_vae(seed=1).state_dict(), path)
    return path


@pytest.mark.parametrize("make", [small_vae, small_mapper])
def test_loads_into_network_and_mapper(weights, make):
    network = make(2)
    assert load_weights(network, weights) is network
    for name, value in small_vae(seed=1).state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_half_precision_on_disk_becomes_the_networks_precision(tmp_path):
    source = small_vae(seed=1)
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in source.state_dict().items()
    }
    torch.save(state, tmp_path / "model.pt")
    network = load_weights(small_vae(), tmp_path / "model.pt")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    noise = torch.zeros(3, 6)
    output, expected = network(small_images(), noise)[0], source(small_images(), noise)[0]
    torch.testing.assert_close(output, expected, rtol=0, atol=5e-3)
    assert not torch.equal(output, expected)


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"none\.pt: expected a weights file, found none; train first"):
        load_weights(small_vae(), tmp_path / "none.pt")


@pytest.mark.parametrize("size", [0, 10, 1000, -1000])
def test_damaged_file(weights, size):
    content = weights.read_bytes()
    weights.write_bytes(content[:size])
    network = small_vae()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelError, match=r"model\.pt: expected a plain state_dict, found a damaged file"):
        load_weights(network, weights)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_text_file(tmp_path):
    (tmp_path / "model.pt").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="found a damaged file"):
        load_weights(small_vae(), tmp_path / "model.pt")


@pytest.mark.case(47)
def test_code_in_the_file_is_not_run(tmp_path):
    made = tmp_path / "made by the payload"
    torch.save({"weight": Payload(str(made))}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="would run code"):
        load_weights(small_vae(), tmp_path / "model.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Payload(str(made))))
    with pytest.raises(ModelError, match="would run code"):
        load_weights(small_vae(), tmp_path / "plain.pt")
    assert not made.exists()


def test_another_zip_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
        file.writestr("readme.txt", "no weights here")
    with pytest.raises(ModelError, match="damaged file"):
        load_weights(small_vae(), tmp_path / "model.pt")


@pytest.mark.parametrize(
    "content", [[1, 2], {"model": {"weight": torch.zeros(1)}, "epoch": 3}, torch.zeros(3)]
)
def test_a_checkpoint_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="expected a plain state_dict of tensors"):
        load_weights(small_vae(), tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"key_grid": 8}, r"expected \(format, heads, key_grid\) \[1, 2, 4\], got \[1, 2, 8\]"),
        ({"heads": 4}, r"got \[1, 4, 4\]"),
        ({"latent_size": 7}, "size mismatch"),
        ({"encoder_attention": (1,)}, "Missing key"),
        ({"decoder_attention": (1, 2, 3)}, "Unexpected key"),
        ({"in_channels": 2}, "size mismatch"),
    ],
)
def test_another_architecture_is_refused_with_its_reason(tmp_path, other, reason):
    torch.save(small_vae(**other).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ModelError, match=rf"model\.pt: these weights do not fit .*{reason}"):
        load_weights(small_vae(), tmp_path / "model.pt")


def test_weights_of_another_format_are_refused(tmp_path):
    state = small_vae().state_dict()
    state["architecture"] = state["architecture"] + torch.tensor([1, 0, 0])
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"got \[2, 2, 4\]"):
        load_weights(small_vae(), tmp_path / "model.pt")


@pytest.mark.case(46)
def test_weights_have_the_hash_that_their_provenance_names(weights):
    provenance = weights.with_name("provenance.json")
    provenance.write_text(json.dumps({"weights_sha256": file_sha256(weights)}))
    load_weights(small_vae(seed=2), weights)
    torch.save(small_vae(seed=3).state_dict(), weights)
    with pytest.raises(
        ModelError, match=r"model.pt: expected the weights that provenance.json names"
    ) as error:
        load_weights(small_vae(seed=2), weights)
    assert error.value.exit_code == 5
    with pytest.raises(
        ModelError, match="provenance.json names"
    ):  # what servers ask, which load by themselves
        weights_sha256(weights)


def test_hash_of_weights_is_that_of_the_file(weights):
    assert weights_sha256(str(weights)) == file_sha256(weights)


@pytest.mark.case(46)
@pytest.mark.parametrize("content", ["{}", "[]", "no JSON"])
def test_provenance_without_a_hash_is_refused(weights, content):
    weights.with_name("provenance.json").write_text(content)
    with pytest.raises(ModelError, match=r"provenance.json: expected the hash of the weights, found none"):
        load_weights(small_vae(seed=2), weights)


def test_other_weights_beside_the_shipped_ones_have_no_provenance(weights):
    other = weights.rename(weights.with_name("mine.pt"))
    other.with_name("provenance.json").write_text("{}")
    load_weights(small_vae(seed=2), other)
