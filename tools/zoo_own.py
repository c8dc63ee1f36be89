"""Networks written for the zoo: what the packages lack, or have only in one of several spellings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name


class UNet(nn.Module):
    """Two levels down and up again, with skip connections and transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _double(3, 8), _double(8, 16), _double(16, 32)
        self.lift2, self.up2 = nn.ConvTranspose2d(32, 16, 2, 2), _double(32, 16)
        self.lift1, self.up1 = nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1), _double(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 2, H, W)."""
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        deep = self.lift2(self.bottom(F.max_pool2d(two, 2)))
        deep = self.lift1(self.up2(torch.cat([two, deep], 1)))
        return self.head(self.up1(torch.cat([one, deep], 1)))


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding="same", padding_mode="reflect"),
        nn.InstanceNorm2d(outputs, affine=True),
        nn.LeakyReLU(0.1),
    )


def dcgan() -> nn.Module:
    """A DCGAN generator: transposed convolutions with BatchNorm, ReLU and a last tanh."""
    return nn.Sequential(
        nn.ConvTranspose2d(16, 32, 4, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(32, 16, 4, 2, 1, groups=4, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1, dilation=2),
        nn.SELU(),
        nn.ConvTranspose2d(8, 3, 4, 2, 1),
        nn.Tanh(),
    )


def waves() -> nn.Module:
    """A network over time, with dilated 1-D convolutions and many activations."""
    acts = [nn.ReLU(), nn.ELU(), nn.CELU(), nn.PReLU(8), nn.Softplus(), nn.ReLU6(), nn.Hardtanh(), nn.Mish(), nn.GELU()]
    blocks: list[nn.Module] = [nn.Conv1d(2, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.SiLU()]
    for k, act in enumerate(acts):
        blocks += [nn.Conv1d(8, 8, 3, padding="same", dilation=1 + k % 3, groups=1 + k % 2), act]
    return nn.Sequential(*blocks, nn.Conv1d(8, 4, 4, padding="same"), nn.GroupNorm(2, 4), nn.Hardswish())


def _glu(x: Tensor) -> Tensor:
    return F.glu(x, dim=1).repeat(1, 2, 1, 1)


def _concatenated(x: Tensor) -> Tensor:
    return torch.cat([F.relu(x), F.relu(-x)], 1)[:, ::2]


def _excited(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "x * sigmoid(x)": lambda x: x * torch.sigmoid(x),
    "x * sigmoid(1.702 x)": lambda x: x * torch.sigmoid(1.702 * x),
    "x * tanh(softplus(x))": lambda x: x * torch.tanh(F.softplus(x)),
    "x * relu6(x + 3) / 6": lambda x: x * F.relu6(x + 3) / 6,
    "x * (relu6(x + 3) / 6)": lambda x: x * (F.relu6(x + 3) / 6),
    "x * clamp(x + 3, 0, 6) / 6": lambda x: x * torch.clamp(x + 3, 0, 6) / 6,
    "x * hardsigmoid(x)": lambda x: x * F.hardsigmoid(x),
    "gelu by erf": lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "clamp from 0": lambda x: torch.clamp(x, min=0),
    "maximum of 0": lambda x: torch.maximum(x, torch.zeros(())),
    "softshrink": lambda x: F.softshrink(x, 0.2),
    "hardshrink": lambda x: F.hardshrink(x, 0.2),
    "softsign": F.softsign,
    "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "relu squared": lambda x: F.relu(x).square(),
    "relu, then scaled": lambda x: F.relu(x) * 1.5 + 0.1,
    "scaled, then relu": lambda x: F.relu(x * 0.7 - 0.2),
    "negated, then relu": lambda x: F.relu(-x),
    "relu and its negative": _concatenated,
    "sum of two activations": lambda x: F.relu(x) + torch.tanh(x),
    "sine": torch.sin,
    "absolute": torch.abs,
    "squared": torch.square,
    "softmax": lambda x: torch.softmax(x, 1),
    "gated halves": _glu,
    "gated by its own mean": _excited,
    "pooled, then relu": lambda x: F.relu(F.avg_pool2d(x, 3, 1, 1)),
    "two relus": lambda x: F.relu(x) + F.relu(x - 0.5),
    "group norm, then relu": lambda x: F.relu(F.group_norm(x, 2)),
    "layer norm, then relu": lambda x: F.relu(F.layer_norm(x, x.shape[1:])),
    "channels last norm, then gelu": lambda x: F.gelu(F.layer_norm(x.permute(0, 2, 3, 1), (8,))).permute(0, 3, 1, 2),
}
"""Ways to write what follows a convolution, (N, 8, H, W) -> (N, 8, H, W)."""


class Spellings(nn.Module):
    """One convolution before each entry of `SPELLINGS`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in SPELLINGS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 8, H - 2, W - 2)."""
        x = F.elu(self.stem(x))
        for conv, act in zip(self.convs, SPELLINGS.values(), strict=True):
            x = x / (1 + x.abs().mean()) + act(conv(x))
        return x


class Functional(nn.Module):
    """Convolutions that are no modules: shared weights, computed ones, some made from the input, constant ones."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1))
        self.free = nn.Parameter(torch.randn(4, 4, 3, 3))
        self.linear = nn.Linear(4, 4 * 4 * 9)
        self.register_buffer("blur", torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).div(16).repeat(4, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(1, 4, H, W) -> (1, 4, H, W)."""
        x = F.relu(self.conv(F.relu(self.conv(x))))
        x = F.relu(self.normed(x))
        centred = self.free - self.free.mean((1, 2, 3), keepdim=True)
        x = torch.tanh(F.conv2d(x, centred / centred.std(), padding=1))
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.blur, groups=4)
        made = self.linear(x.mean((2, 3))).reshape(4, 4, 3, 3)
        x = F.silu(F.conv2d(x, made, padding=1))
        x = F.conv2d(F.pad(x, (0, 1, 2, 1)), self.free, stride=1)
        return F.relu(F.conv_transpose2d(x, self.free, stride=2, output_padding=1))


class Cube(nn.Module):
    """3-D convolutions, strided and transposed, over a volume."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(1, 8, (3, 5, 1), (1, 2, 1), (1, 2, 0)), nn.BatchNorm3d(8), nn.ReLU6(),
            nn.Conv3d(8, 8, 3, dilation=(1, 2, 3), groups=8), nn.InstanceNorm3d(8), nn.GELU(),
            nn.ConvTranspose3d(8, 4, 2, 2), nn.BatchNorm3d(4), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, D, H, W) -> (N, 4, D', H', W')."""
        return self.body(x)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "unet": (UNet, ((1, 3, 32, 32),)),
    "dcgan": (dcgan, ((1, 16, 1, 1),)),
    "waves": (waves, ((1, 2, 64),)),
    "spellings": (Spellings, ((1, 3, 18, 18),)),
    "functional": (Functional, ((1, 4, 12, 12),)),
    "cube": (Cube, ((1, 1, 12, 16, 16),)),
}
