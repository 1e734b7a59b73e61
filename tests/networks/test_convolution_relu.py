import pytest
import torch
from torch import nn

from scripts.networks.convolution_relu import ConvolutionReLU

KINDS = {
    "down": (nn.Conv2d, {"padding": 1}),
    "up": (nn.ConvTranspose2d, {"padding": 1, "output_padding": 1}),
}


def pair(kind):
    """The layer, and PyTorch's own in a row with the same weights."""
    layer, arguments = KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = layer(3, 5, 3, 2, **arguments)
        ours = ConvolutionReLU(layer(3, 5, 3, 2, bias=False, **arguments))
    ours.convolution.weight.data, ours.bias.data = plain.weight.data.clone(), plain.bias.data.clone()
    return ours, nn.Sequential(plain, nn.ReLU())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("amp", [False, True])
def test_output_and_gradients_are_those_of_the_layers_in_a_row(kind, layout, amp):
    ours, plain = (one.to(memory_format=layout) for one in pair(kind))
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(4, 3, 8, 8, generator=generator).contiguous(memory_format=layout)
    results = []
    for layer in (ours, plain):
        given = image.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            output = layer(given)
        weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
        (output.float() * weights).sum().backward()
        by_size = sorted((one.grad for one in layer.parameters()), key=torch.Tensor.numel)
        results.append([output.float(), given.grad, *by_size])
        layer.zero_grad()
    # bfloat16 rounds before the bias here and after it there, which opens or closes a gate now and then.
    allowed = 6e-2 if amp else 1e-6
    for found, expected in zip(*results, strict=True):
        assert found.shape == expected.shape
        assert float((found - expected).norm() / expected.norm()) <= allowed


def test_a_second_bias_is_refused():
    with pytest.raises(ValueError, match="bias=False"):
        ConvolutionReLU(nn.Conv2d(1, 1, 3))
