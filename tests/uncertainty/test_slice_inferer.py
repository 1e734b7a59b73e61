import copy

import pytest
import torch
from monai.data import MetaTensor
from small_networks import small_images, small_mapper

from scripts.data.slices import brain_slices
from scripts.errors import InputError, ResourceError
from scripts.uncertainty.mapper import VAEMapper
from scripts.uncertainty.slice_inferer import BrainSliceInferer, _smaller
from scripts.uncertainty.slice_smoothing import smooth_over_slices

EMPTY = (0, 4, 9)


def make_volume(channels=1, depth=10):
    """Ten slices; three hold less brain than a slice needs, one of them a little."""
    volume = small_images(depth, channels).permute(1, 2, 3, 0).contiguous()
    volume[..., list(EMPTY)] = 0
    volume[0, 16, 16, 4] = 0.5
    return volume[None]


def full_size_mapper():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mapper = VAEMapper(latent_size=16, encoder_attention=(4,), decoder_attention=(3,))
        torch.nn.init.normal_(mapper.log_variance_head.weight, std=0.03)
    return mapper.eval()


def one_by_one(volume, mapper):
    output = torch.zeros(4 + volume.shape[1], *volume.shape[2:], dtype=volume.dtype)
    with torch.no_grad():
        for index in brain_slices(volume[0].numpy()):
            output[..., index] = mapper(volume[..., index])[0]
    return output[None]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_equals_slice_by_slice_whatever_the_batch_size(batch_size, channels):
    volume, mapper = make_volume(channels), small_mapper(in_channels=channels)
    output = BrainSliceInferer(batch_size)(volume, mapper)
    assert output.shape == (1, 4 + channels, 32, 32, 10)
    assert output.dtype is torch.float32
    torch.testing.assert_close(output, one_by_one(volume, mapper), rtol=1e-4, atol=1e-5)


def test_float32_is_as_near_to_float64_as_runtimes_are_to_each_other():
    # PyTorch's group norm loses two digits on large channels-last maps on a CPU.
    mapper, volume = full_size_mapper(), small_images(6, size=128).permute(1, 2, 3, 0)[None]
    exact = one_by_one(volume.double(), copy.deepcopy(mapper).double())
    output = BrainSliceInferer(3)(volume, mapper)
    torch.testing.assert_close(output.double(), exact, rtol=5e-5, atol=5e-6)


def test_slices_without_brain_are_skipped_and_zero():
    seen = []

    def network(batch):
        seen.append(tuple(batch.shape))
        return torch.ones(len(batch), 5, 32, 32)

    output = BrainSliceInferer(batch_size=4)(make_volume(), network)
    assert sum(shape[0] for shape in seen) == 7
    assert {shape[1:] for shape in seen} == {(1, 32, 32)}
    filled = [index for index in range(10) if index not in EMPTY]
    assert (output[..., filled] == 1).all()
    assert (output[..., list(EMPTY)] == 0).all()


@pytest.mark.parametrize(
    ("threads", "batch_size", "sizes"), [(1, 4, [3, 4]), (2, 4, [1, 2, 2, 2]), (3, 2, [1] * 7), (2, 16, [7])]
)
def test_a_batch_is_shared_among_threads(threads, batch_size, sizes):
    seen = []

    def network(batch):
        seen.append((len(batch), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return torch.ones(len(batch), 5, 32, 32)

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        BrainSliceInferer(batch_size)(make_volume(), network)
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert sorted(one[0] for one in seen) == sizes
    assert {one[1] for one in seen} == {1 if len(sizes) > 1 else threads}
    assert all(one[2] for one in seen)
    assert after == threads


@pytest.mark.parametrize("amp", [False, True])
def test_threads_do_not_change_the_maps(amp):
    volume, mapper = make_volume(), small_mapper()
    before = torch.get_num_threads()
    outputs = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            outputs.append(BrainSliceInferer(6, amp)(volume, mapper))
    finally:
        torch.set_num_threads(before)
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], rtol=1e-4, atol=1e-2 if amp else 1e-5)


def test_an_error_in_a_thread_is_raised_and_the_threads_stay_as_they_were():
    def network(batch):
        raise RuntimeError("no memory")

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="no memory"):
            BrainSliceInferer(batch_size=2)(make_volume(), network)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_permuted_slices_give_permuted_maps():
    volume, mapper = make_volume(), small_mapper()
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    inferer = BrainSliceInferer(batch_size=3)
    expected = inferer(volume, mapper)[..., order]
    torch.testing.assert_close(inferer(volume[..., order], mapper), expected, rtol=1e-4, atol=1e-5)


def test_same_scan_same_maps():
    inferer, volume = BrainSliceInferer(), make_volume()
    first = inferer(volume, small_mapper())
    torch.manual_seed(99)
    assert torch.equal(inferer(volume, small_mapper()), first)


def test_the_input_stays_as_it_is():
    volume = make_volume()
    before = volume.clone()
    BrainSliceInferer()(volume, small_mapper())
    assert torch.equal(volume, before)


def test_metatensor_gives_the_same_plain_tensor():
    volume, mapper = make_volume(), small_mapper()
    output = BrainSliceInferer()(MetaTensor(volume), mapper)
    assert type(output) is torch.Tensor
    assert torch.equal(output, BrainSliceInferer()(volume, mapper))


def with_distance(volume: torch.Tensor, distance: float) -> MetaTensor:
    return MetaTensor(volume, affine=torch.diag(torch.tensor([2.0, 2.0, distance, 1.0])))


def test_the_anomaly_alone_is_smoothed_over_the_brain_slices_of_the_scan():
    volume, mapper = make_volume(), small_mapper()
    alone = BrainSliceInferer()(volume, mapper)
    output = BrainSliceInferer(slice_smoothing=6.0)(with_distance(volume, 4.0), mapper)
    brain = [index for index in range(10) if index not in EMPTY]
    places = torch.tensor(brain) * 4.0
    expected = torch.zeros(32, 32, 10)
    maps, inside = (one[..., brain].permute(2, 0, 1) for one in (alone[0, 1], volume[0, 0] > 0))
    expected[..., brain] = smooth_over_slices(maps, inside, places, 6.0).permute(1, 2, 0)
    torch.testing.assert_close(output[0, 1], expected)
    assert not torch.equal(output[0, 1], alone[0, 1])
    assert torch.equal(output[0, [0, 2, 3, 4]], alone[0, [0, 2, 3, 4]])
    assert not output[..., list(EMPTY)].any()


def test_slices_further_apart_than_the_reach_are_not_smoothed():
    volume, mapper = make_volume(), small_mapper()
    output = BrainSliceInferer(slice_smoothing=6.0)(with_distance(volume, 12.5), mapper)
    assert torch.equal(output, BrainSliceInferer()(volume, mapper))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_does_not_matter_to_smoothed_maps(batch_size):
    volume, mapper = with_distance(make_volume(), 4.0), small_mapper()
    expected = BrainSliceInferer(7, slice_smoothing=6.0)(volume, mapper)
    output = BrainSliceInferer(batch_size, slice_smoothing=6.0)(volume, mapper)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_without_the_distance_of_the_slices_there_is_no_smoothing():
    with pytest.raises(InputError, match="affine tells how far slices are apart.* slice_smoothing to 0"):
        BrainSliceInferer(slice_smoothing=6.0)(make_volume(), small_mapper())


@pytest.mark.usefixtures("fast_bfloat16")
def test_bfloat16_is_near_and_given_back_as_float32():
    volume, mapper = make_volume(), small_mapper()
    expected = BrainSliceInferer()(volume, mapper)
    output = BrainSliceInferer(amp=True)(volume, mapper)
    assert output.dtype is torch.float32
    assert not torch.equal(output, expected)
    difference = (output - expected)[:, [0, 1, 4]].square().mean().sqrt()
    assert difference < 0.05 * expected[:, [0, 1, 4]].square().mean().sqrt()


@pytest.mark.parametrize("shape", [(1, 32, 32, 10), (2, 1, 32, 32, 10)])
def test_anything_but_one_volume_is_refused(shape):
    with pytest.raises(ValueError, match="Expected one volume"):
        BrainSliceInferer()(torch.zeros(shape), small_mapper())


def test_volume_without_brain_is_refused():
    volume = torch.zeros(1, 1, 32, 32, 3)
    volume[0, 0, 10:19, 10:19] = 0.5
    with pytest.raises(InputError, match="slices with brain on at least 10 %"):
        BrainSliceInferer()(volume, small_mapper())


class Cramped(torch.nn.Module):
    """A network with memory for so many slices only; for more it asks for more than any CPU has."""

    def __init__(self, network, slices):
        super().__init__()
        self.network, self.slices, self.seen = network, slices, []

    def forward(self, image):
        self.seen.append(len(image))
        if len(image) > self.slices:
            torch.empty(10**14)
        return self.network(image)


@pytest.mark.case(43)
def test_half_as_many_slices_when_memory_is_short(caplog):
    torch.set_num_threads(1)
    volume, mapper = make_volume(), small_mapper()
    cramped = Cramped(mapper, 2)
    output = BrainSliceInferer(7)(volume, cramped)
    torch.testing.assert_close(output, one_by_one(volume, mapper), rtol=1e-4, atol=1e-5)
    assert cramped.seen == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert "Not enough memory on cpu for 7 slices at once; going on with 3." in caplog.text


@pytest.mark.case(43)
def test_no_memory_for_a_single_slice_is_an_error():
    with pytest.raises(ResourceError, match="Expected memory for one slice, found none .*CPUAllocator"):
        BrainSliceInferer(2)(make_volume(), Cramped(small_mapper(), 0))


def test_another_error_of_the_network_stays_as_it_is():
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        BrainSliceInferer(2)(make_volume(), torch.nn.Linear(3, 1))


@pytest.mark.case(43)
def test_from_a_gpu_the_cpu_takes_over_with_the_batch_it_began_with(caplog):
    error = torch.OutOfMemoryError("CUDA out of memory")
    assert _smaller(5, 8, torch.device("cuda:1"), error) == (2, torch.device("cuda:1"))
    assert _smaller(1, 8, torch.device("cuda:1"), error) == (8, torch.device("cpu"))
    assert "going on with the CPU" in caplog.text.splitlines()[-1]
