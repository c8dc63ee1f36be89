"""The two small networks behind the samples, and how they are trained (PyTorch, CPU, one thread)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from samples_data import Digits, Patches
from torch import Tensor, nn
from torch.nn import functional


class DigitNet(nn.Module):
    """LeNet-style: (N, 1, 16, 16) in 0..1 to scores (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.relu3 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(32 * 2 * 2, 10)

    def maps(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The post-ReLU maps: (N, 8, 16, 16), (N, 16, 8, 8), (N, 32, 2, 2)."""
        first = self.relu1(self.conv1(image))
        second = self.relu2(self.conv2(self.pool1(first)))
        return first, second, self.relu3(self.conv3(self.pool2(second)))

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 10)."""
        return self.fc(self.flatten(self.maps(image)[-1]))

    @torch.no_grad()
    def start_from(self, images: Tensor) -> None:
        """Scale and shift every filter so that on these images it gives mean 0 and deviation 1.

        A freshly drawn filter that sees only non-negative maps can start, and stay, negative everywhere.
        This start leaves no filter dead before the first step; what dies later was killed by training.
        """
        signal = images
        for layer, pool in ((self.conv1, self.pool1), (self.conv2, self.pool2), (self.conv3, nn.Identity())):
            layer.bias.zero_()
            answer = layer(signal)
            deviation = answer.std((0, 2, 3))
            layer.weight /= deviation[:, None, None, None]
            layer.bias.copy_(-answer.mean((0, 2, 3)) / deviation)
            signal = pool(torch.relu(layer(signal)))


class Stem(nn.Module):
    """Colour and edge filters: (N, 3, 32, 32) to (N, 24, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 24, 7, stride=2, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(24)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: Tensor) -> Tensor:
        """Pooled maps (N, 24, 8, 8)."""
        return self.pool(self.relu(self.bn(self.conv(image))))


class Block(nn.Module):
    """Depthwise-separable residual block, (N, 24, 8, 8) to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False)
        self.depthwise_bn = nn.BatchNorm2d(24)
        self.depthwise_relu = nn.ReLU()
        self.pointwise = nn.Conv2d(24, 24, 1, bias=False)
        self.pointwise_bn = nn.BatchNorm2d(24)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """The input plus the branch, rectified: (N, 24, 8, 8)."""
        branch = self.depthwise_relu(self.depthwise_bn(self.depthwise(maps)))
        return self.relu(maps + self.pointwise_bn(self.pointwise(branch)))


class Head(nn.Module):
    """SiLU stage and classifier: (N, 24, 8, 8) to scores (N, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(24, 32, 3, padding=1)
        self.silu = nn.SiLU()
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(32, classes)

    def forward(self, maps: Tensor) -> Tensor:
        """Scores (N, classes)."""
        return self.fc(self.flatten(self.gap(self.silu(self.conv(maps)))))


class PatchNet(nn.Module):
    """Which photograph is this patch from: (N, 3, 32, 32) in -1..1 to scores (N, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Stem()
        self.block = Block()
        self.head = Head(classes)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, classes)."""
        return self.head(self.block(self.stem(image)))


@dataclass(frozen=True)
class Recipe:
    """How a digit network is trained; the two networks differ in the learning rate (and seed) alone."""

    learning_rate: float
    seed: int
    epochs: int = 25
    batch: int = 64
    momentum: float = 0.9
    weight_decay: float = 1e-4
    sparsity: float = 0.1  # weight of the mean activation of the last convolution in the loss


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Shuffled index batches over ``count`` examples, once through."""
    yield from torch.randperm(count, generator=generator).split(size)


def unit(images: NDArray[np.uint8]) -> Tensor:
    """Grey bytes (N, H, W) as a tensor (N, 1, H, W) in 0..1."""
    return torch.from_numpy(images[:, None].astype(np.float32) / np.float32(255.0))


def signed(images: NDArray[np.uint8]) -> Tensor:
    """RGB bytes (N, H, W, 3) as a tensor (N, 3, H, W) in -1..1."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes.astype(np.float32) / np.float32(127.5) - np.float32(1.0))


def train_digits(digits: Digits, recipe: Recipe) -> DigitNet:
    """Train one digit network with momentum SGD and a constant learning rate."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    images, labels = unit(digits.images[digits.train]), torch.from_numpy(digits.labels[digits.train])
    net = DigitNet()
    net.start_from(images[:256])
    optimiser = torch.optim.SGD(
        net.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    for _ in range(recipe.epochs):
        for batch in batches(len(images), recipe.batch, generator):
            last = net.maps(images[batch])[-1]
            loss = functional.cross_entropy(net.fc(net.flatten(last)), labels[batch])
            loss = loss + recipe.sparsity * last.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


NOISE = 0.6  # largest standard deviation of the noise added to a patch, in units of -1..1
GREY = 0.25  # share of the patches that lose their colour


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip, turn and recolour a batch (N, 3, 32, 32) in -1..1, and add noise.

    The noise is what makes the first filters smooth: a filter that follows single pixels hears it loudest.
    """
    count = len(images)

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((count, *shape), generator=generator)

    for flip in (lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.transpose(-1, -2)):
        images = torch.where(draw(0, 1, 1, 1, 1) < 0.5, flip(images), images)
    grey = images.mean(dim=1, keepdim=True)
    saturation = torch.where(draw(0, 1, 1, 1, 1) < GREY, torch.zeros(()), draw(0.5, 1.4, 1, 1, 1))
    images = grey + saturation * (images - grey)
    images = images * draw(0.7, 1.3, 1, 1, 1) + draw(-0.3, 0.3, 1, 1, 1) + draw(-0.08, 0.08, 3, 1, 1)
    noise = torch.randn(images.shape, generator=generator) * draw(0.0, NOISE, 1, 1, 1)
    return images.clamp(-1.0, 1.0) + noise


def roughness(filters: Tensor) -> Tensor:
    """Mean squared step between neighbouring weights, per filter in units of its own energy; a scalar."""
    energy = filters.square().sum(dim=(1, 2, 3)) + 1e-8
    padded = functional.pad(filters, (1, 1, 1, 1))
    steps = padded.diff(dim=-1).square().sum(dim=(1, 2, 3)) + padded.diff(dim=-2).square().sum(dim=(1, 2, 3))
    return (steps / energy).mean()


def alikeness(filters: Tensor) -> Tensor:
    """Mean squared cosine between different filters; a scalar in 0..1 that keeps them from being copies."""
    flat = functional.normalize(filters.flatten(1), dim=1)
    cosines = flat @ flat.T - torch.eye(len(flat))
    return cosines.square().mean()


@dataclass(frozen=True)
class PatchRecipe:
    """How the patch network is trained."""

    seed: int = 0
    epochs: int = 18
    batch: int = 128
    peak_rate: float = 4e-3
    weight_decay: float = 5e-2
    smooth: float = 0.3  # weight of the first layer's roughness in the loss
    differ: float = 1.0  # weight of the first layer's alikeness in the loss


def train_patches(patches: Patches, recipe: PatchRecipe, say: Callable[[str], None]) -> PatchNet:
    """Train the patch network with AdamW, a one-cycle learning rate and a smooth first layer."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    images, labels = signed(patches.patches), torch.from_numpy(patches.labels)
    net = PatchNet(int(patches.labels.max()) + 1).train()
    steps = recipe.epochs * -(-len(images) // recipe.batch)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.peak_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_rate, total_steps=steps)
    for epoch in range(recipe.epochs):
        total = 0.0
        for batch in batches(len(images), recipe.batch, generator):
            loss = functional.cross_entropy(net(augment(images[batch], generator)), labels[batch])
            filters = net.stem.conv.weight
            whole = loss + recipe.smooth * roughness(filters) + recipe.differ * alikeness(filters)
            optimiser.zero_grad()
            whole.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        if epoch % 5 == 4:
            say(f"  epoch {epoch + 1}/{recipe.epochs}: loss {total / len(images):.3f}")
    return net.eval()
