import pytest
import torch

from scripts.networks import softmax_attention
from scripts.networks.softmax_attention import worth_blocks


def blocked_attention(*heads, **arguments):
    """Blocked attention of and to (B, H, N, d), as the references have it."""
    return softmax_attention.blocked_attention(
        *(one.transpose(-1, -2) for one in heads), **arguments
    ).transpose(-1, -2)


def heads(positions, keys, size=4, scale=1.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(positions + keys)
    shapes = [(2, 3, positions, size), (2, 3, keys, size), (2, 3, keys, size)]
    query, key, value = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return query * scale, key, value


def slow_reference(query, key, value):
    output = torch.empty(query.shape, dtype=torch.float64)
    for image in range(query.shape[0]):
        for head in range(query.shape[1]):
            for row in range(query.shape[2]):
                logits = key[image, head].double() @ query[image, head, row].double()
                weights = torch.softmax(logits / query.shape[-1] ** 0.5, dim=0)
                output[image, head, row] = weights @ value[image, head].double()
    return output


@pytest.mark.parametrize(
    ("positions", "keys", "size"), [(64, 64, 4), (50, 7, 3), (1, 1, 1), (33, 100, 8), (100, 33, 16)]
)
@pytest.mark.parametrize("block_bytes", [1, 4096, 2**21], ids=["smallest", "some", "one"])
def test_equals_softmax_row_by_row(positions, keys, size, block_bytes):
    query, key, value = heads(positions, keys, size)
    output = blocked_attention(query, key, value, block_bytes=block_bytes)
    torch.testing.assert_close(output.double(), slow_reference(query, key, value), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 30.0, 1e3, 1e6])
def test_any_size_of_logits(scale):
    query, key, value = heads(40, 30, scale=scale)
    output = blocked_attention(query, key, value)
    # Logits of 1e6 hold their last digits only to 0.1, in any kernel: the winner still takes it all.
    tolerance = 1e-5 if scale < 1e3 else 2e-2
    torch.testing.assert_close(output.double(), slow_reference(query, key, value), rtol=0, atol=tolerance)


def gradients(attend, inputs):
    inputs = [one.detach().clone().requires_grad_() for one in inputs]
    output = attend(*inputs)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
    (output * weights).sum().backward()
    return [one.grad for one in inputs]


def exact_gradients(inputs):
    def attend(query, key, value):
        return torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, dim=-1) @ value

    return gradients(attend, [one.double() for one in inputs])


@pytest.mark.parametrize(("positions", "keys", "size"), [(64, 64, 4), (50, 7, 3), (33, 100, 8)])
@pytest.mark.parametrize("block_bytes", [1, 4096, 2**21], ids=["smallest", "some", "one"])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3], ids=["flat", "steep", "one-hot"])
def test_gradients_are_those_of_softmax(positions, keys, size, block_bytes, scale):
    inputs = heads(positions, keys, size, scale)
    found = gradients(lambda *given: blocked_attention(*given, block_bytes=block_bytes), inputs)
    tolerance = 1e-5 if scale < 1e3 else 1e-3  # large logits hold fewer digits after the point
    for ours, exact in zip(found, exact_gradients(inputs), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=tolerance * float(exact.abs().max()))


def test_gradients_are_float32_under_mixed_precision():
    inputs = heads(64, 48)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(blocked_attention, inputs)
    for ours, exact in zip(found, exact_gradients(inputs), strict=True):
        assert ours.dtype is torch.float32
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=1e-5)


def test_the_bound_changes_the_route_not_the_result():
    query, key, value = heads(64, 48, scale=3.0)
    plain = blocked_attention(query, key, value, largest_exponent=1e9)
    shifted = blocked_attention(query, key, value, largest_exponent=0.0)
    assert not torch.equal(plain, shifted)
    torch.testing.assert_close(plain, shifted, rtol=1e-5, atol=1e-6)


def test_equal_logits_average_the_values():
    query, key, value = heads(10, 20)
    output = blocked_attention(torch.zeros_like(query), key, value)
    torch.testing.assert_close(output, value.mean(dim=2, keepdim=True).expand_as(output))


def test_nan_stays_nan():
    query, key, value = heads(10, 20)
    query[0, 0, 3, 1] = torch.nan
    output = blocked_attention(query, key, value)
    assert output[0, 0, 3].isnan().all()
    assert output[1].isfinite().all()


def test_bfloat16_is_near_and_stays_bfloat16():
    query, key, value = heads(64, 64)
    output = blocked_attention(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert output.dtype is torch.bfloat16
    torch.testing.assert_close(output.double(), slow_reference(query, key, value), rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("positions", "keys", "threads", "expected"),
    [(4096, 4096, 1, True), (4096, 16, 1, True), (64, 64, 1, False), (4096, 4096, 2, False)],
)
def test_blocks_are_for_large_maps_on_one_thread(positions, keys, threads, expected):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert worth_blocks(positions, keys, torch.device("cpu")) is expected
        assert not worth_blocks(positions, keys, torch.device("meta"))
    finally:
        torch.set_num_threads(before)
