import pytest
import torch
from torch.nn import functional

from scripts.errors import InputError
from scripts.networks.attention import SpatialAttention
from scripts.networks.softmax_attention import blocked_attention


def make_attention(channels=16, heads=4, size=8, key_grid=None, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = SpatialAttention(channels, heads, size, key_grid, **arguments)
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return layer.eval()


def make_map(channels=16, size=8, count=2):
    return torch.randn((count, channels, size, size), generator=torch.Generator().manual_seed(0))


def slow_attention(layer, image):
    """Softmax attention pixel by pixel and head by head, in double precision."""
    block, heads = layer.attention, layer.attention.num_heads
    normed = layer.norm(image).double()
    pooled = layer.pool(normed)
    names = ("to_q", "to_k", "to_v", "out_proj")
    weights = {name: [one.double() for one in getattr(block, name).parameters()] for name in names}
    size = image.shape[1] // heads
    output = torch.empty(image.shape, dtype=torch.float64)
    for number, (one, context) in enumerate(zip(normed, pooled, strict=True)):
        contexts = [context[:, i, j] for i in range(context.shape[1]) for j in range(context.shape[2])]
        keys = [functional.linear(vector, *weights["to_k"]) for vector in contexts]
        values = [functional.linear(vector, *weights["to_v"]) for vector in contexts]
        for i in range(image.shape[2]):
            for j in range(image.shape[3]):
                query = functional.linear(one[:, i, j], *weights["to_q"])
                attended = []
                for head in range(heads):
                    part = slice(head * size, (head + 1) * size)
                    logits = torch.stack([query[part] @ key[part] for key in keys]) / size**0.5
                    shares = torch.softmax(logits, dim=0)
                    attended.append(
                        sum(share * value[part] for share, value in zip(shares, values, strict=True))
                    )
                output[number, :, i, j] = functional.linear(torch.cat(attended), *weights["out_proj"])
    return image.double() + output


def make_small(key_grid):
    return make_attention(channels=8, heads=2, size=6, key_grid=key_grid), make_map(channels=8, size=6)


@pytest.mark.parametrize("key_grid", [None, 3, 2])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("blocks", [True, False])
def test_equals_softmax_pixel_by_pixel(key_grid, grad, blocks, monkeypatch):
    monkeypatch.setattr("scripts.networks.attention.worth_blocks", lambda *given: blocks)
    layer, image = make_small(key_grid)
    layer.attention.to_q.weight.data *= 3
    with torch.no_grad():
        expected = slow_attention(layer, image)
    with torch.set_grad_enabled(grad):
        output = layer(image)
    assert output.requires_grad is grad
    torch.testing.assert_close(output.detach().double(), expected, rtol=1e-4, atol=1e-5)


def test_full_attention_equals_torch_multihead_attention():
    layer, image = make_attention(channels=32, heads=8), make_map(channels=32)
    block = layer.attention
    other = torch.nn.MultiheadAttention(32, 8, batch_first=True)
    other.in_proj_weight.data = torch.cat([block.to_q.weight, block.to_k.weight, block.to_v.weight])
    other.in_proj_bias.data = torch.cat([block.to_q.bias, block.to_k.bias, block.to_v.bias])
    other.out_proj.load_state_dict(block.out_proj.state_dict())
    tokens = layer.norm(image).flatten(2).transpose(1, 2)
    attended, weights = other(tokens, tokens, tokens, average_attn_weights=False)
    expected = image + attended.transpose(1, 2).reshape(image.shape)
    torch.testing.assert_close(layer(image), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.attention_weights(image, 64), weights, rtol=1e-4, atol=1e-6)


def test_large_map_on_one_thread_takes_the_blocks_and_agrees(monkeypatch):
    layer, image = make_attention(channels=32, heads=8, size=32), make_map(channels=32, size=32)
    called = []

    def watched(query, key, value):
        called.append(query.shape)
        return blocked_attention(query, key, value)

    def weight_gradients():
        layer.zero_grad()
        layer(image).square().mean().backward()
        return [parameter.grad.clone() for parameter in layer.parameters()]

    monkeypatch.setattr("scripts.networks.attention.blocked_attention", watched)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    output, expected = layer(image).detach(), weight_gradients()
    assert not called
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    with torch.no_grad():
        torch.testing.assert_close(layer(image), output, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weight_gradients(), expected, rtol=1e-4, atol=1e-5)
    assert called == [(2, 8, 4, 1024)] * 2


@pytest.mark.parametrize("key_grid", [8, 9, 64])
def test_map_not_larger_than_the_key_grid_is_not_pooled(key_grid):
    pooled, full = make_attention(key_grid=key_grid), make_attention()
    image = make_map()
    assert isinstance(pooled.pool, torch.nn.Identity)
    assert torch.equal(pooled(image), full(image))


@pytest.mark.parametrize(
    ("size", "key_grid", "side"),
    [(64, 16, 16), (32, 16, 16), (16, 16, 16), (8, 3, 2), (16, 12, 8), (32, 10, 8)],
)
def test_key_grid_is_the_side_of_the_keys(size, key_grid, side):
    layer = make_attention(size=size, key_grid=key_grid)
    assert layer.pool(make_map(size=size)).shape[-2:] == (side, side)


def test_pooling_changes_the_output_but_no_weight():
    pooled, full = make_attention(key_grid=2), make_attention()
    pooled.load_state_dict(full.state_dict(), strict=True)
    image = make_map()
    assert not torch.allclose(pooled(image), full(image), atol=1e-3)


@pytest.mark.parametrize("key_grid", [None, 4])
def test_attention_weights_are_rows_of_the_softmax(key_grid):
    layer, image = make_attention(key_grid=key_grid), make_map()
    keys = 64 if key_grid is None else 16
    rows = layer.attention_weights(image, 64)
    assert rows.shape == (2, 4, 64, keys)
    torch.testing.assert_close(rows.sum(dim=-1), torch.ones(2, 4, 64))
    assert (rows >= 0).all()
    context = layer.pool(layer.norm(image)).flatten(2).transpose(1, 2)
    values = layer.attention.input_rearrange(layer.attention.to_v(context))
    attended = layer.attention.out_proj(layer.attention.out_rearrange(rows @ values))
    expected = image + attended.transpose(1, 2).reshape(image.shape)
    torch.testing.assert_close(layer(image), expected, rtol=1e-4, atol=1e-5)


def test_fewer_queries_are_spread_over_rows_and_columns():
    layer, image = make_attention(), make_map()
    every, some = layer.attention_weights(image, 64), layer.attention_weights(image, 8)
    chosen = [0, 9, 18, 27, 36, 45, 54, 63]
    assert len({position % 8 for position in chosen}) == len({position // 8 for position in chosen}) == 8
    torch.testing.assert_close(some, every[:, :, chosen])


def test_attention_ignores_the_order_of_positions():
    layer, image = make_attention(), make_map()
    order = torch.randperm(64, generator=torch.Generator().manual_seed(2))
    shuffled = image.flatten(2)[..., order].reshape(image.shape)
    expected = layer(image).flatten(2)[..., order].reshape(image.shape)
    torch.testing.assert_close(layer(shuffled), expected, rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    layer, image = make_attention(dropout=0.5), make_map()
    assert torch.equal(layer(image), make_attention()(image))
    layer.train()
    torch.manual_seed(0)
    assert not torch.equal(layer(image), layer(image))


def test_channels_that_heads_do_not_divide_are_refused():
    with pytest.raises(InputError, match="divisible by heads, got 32 and 0"):
        make_attention(channels=32, heads=0)
    with pytest.raises(InputError, match="divisible by heads, got 30 and 8"):
        SpatialAttention(30, 8, 8)


def test_gradients_flow_to_every_parameter_and_the_input():
    layer, image = make_attention(key_grid=4), make_map().requires_grad_()
    layer(image).square().sum().backward()
    # A constant added to all keys changes no softmax: that bias has no gradient but rounding.
    for name, parameter in layer.named_parameters():
        if name != "attention.to_k.bias":
            assert parameter.grad.abs().max() > 1e-6, name
    assert image.grad.abs().min() > 0
