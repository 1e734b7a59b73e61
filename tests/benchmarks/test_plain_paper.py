import pytest
import torch
from small_networks import small_images, small_mapper

from benchmarks.plain_paper import PlainAttention, PlainPaper
from scripts.networks.attention import SpatialAttention


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("samples", [1, 5])
def test_plain_reading_gives_our_maps(channels, samples):
    mapper = small_mapper(key_grid=None, in_channels=channels, samples=samples)
    images = small_images(3, channels)
    with torch.no_grad():
        torch.testing.assert_close(PlainPaper(mapper)(images), mapper(images), rtol=1e-4, atol=1e-5)


def test_it_does_what_makes_it_slow():
    mapper, images = small_mapper(key_grid=None), small_images(2)
    plain = PlainPaper(mapper)
    passes = []
    plain.mapper.encoder[0].register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))
    with torch.no_grad(), torch.profiler.profile() as profile:
        plain(images)
    assert passes == [1] * 10
    names = {event.key for event in profile.key_averages()}
    assert "aten::_scaled_dot_product_attention_math" in names
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" not in names


def test_our_network_stays_as_it_is():
    mapper = small_mapper(key_grid=None)
    plain = PlainPaper(mapper)
    assert not any(isinstance(layer, PlainAttention) for layer in mapper.modules())
    assert not any(isinstance(layer, SpatialAttention) for layer in plain.modules())
    weight = mapper.encoder[1].attention.to_q.weight
    copied = plain.mapper.encoder[1].to_q.weight
    assert torch.equal(copied[:, :, 0, 0], weight)
    assert copied.data_ptr() != weight.data_ptr()


def test_pooled_attention_is_refused():
    with pytest.raises(ValueError, match="key_grid=None"):
        PlainPaper(small_mapper(key_grid=4))
