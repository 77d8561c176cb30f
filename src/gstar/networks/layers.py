"""Layers that several networks share."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

N_BINS: Final = 12
N_FREQUENCIES: Final = 8
PERIODIC_WIDTH: Final = 8
MAX_ONEHOT: Final = 60
MAX_EMBEDDING: Final = 16


class Scaling(nn.Module):
    """Moves and stretches channels to mean 0 and deviation 1; what is missing becomes 0.

    Args:
        channels: C, the size of the second dimension of what comes in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def prepare(self, values: Tensor) -> None:
        """Fits to ``(N, C)`` values, NaN where missing."""
        present = torch.isfinite(values)
        known = torch.where(present, values, 0.0).double()
        count = present.sum(0).clamp(min=1)
        centre = known.sum(0) / count
        variance = (torch.where(present, values - centre, 0.0).double() ** 2).sum(0) / count
        self.centre.copy_(centre)
        self.scale.copy_(torch.where(variance > 1e-20, variance.sqrt(), 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, ...)`` to the same shape."""
        shape = (1, -1) + (1,) * (x.dim() - 2)
        scaled = (x - self.centre.view(shape)) / self.scale.view(shape)
        return torch.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)


class PiecewiseLinear(nn.Module):
    """Says of each number how far it has come through each of some bins between quantiles.

    Args:
        features: F.

    References:
        Gorishniy, Rubachev, Babenko: On embeddings for numerical features in tabular deep learning
        (2022), https://arxiv.org/abs/2203.05556

    Differences from the paper:
        1. The number itself is kept beside its bins, so that the ends are not flat.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.width = features * (N_BINS + 1)
        self.register_buffer("left", torch.zeros(features, N_BINS))
        self.register_buffer("inverse", torch.zeros(features, N_BINS))

    def prepare(self, values: Tensor) -> None:
        """Puts the edges at quantiles of ``(N, F)`` values; bins without width stay off."""
        edges = torch.quantile(values[:10_000].double(), torch.linspace(0, 1, N_BINS + 1).double(), dim=0).T
        width = edges[:, 1:] - edges[:, :-1]
        self.left.copy_(edges[:, :-1])
        self.inverse.copy_(torch.where(width > 1e-9, 1 / width.clamp(min=1e-9), 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, F)`` to ``(N, width)``."""
        bins = ((x[:, :, None] - self.left) * self.inverse).clamp(0, 1)
        return torch.cat([x, bins.flatten(1)], dim=1)


class Periodic(nn.Module):
    """Turns each number into sines and cosines of learned frequencies, and mixes them per feature.

    References:
        Gorishniy, Rubachev, Babenko: On embeddings for numerical features in tabular deep learning
        (2022), https://arxiv.org/abs/2203.05556
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.width = features * PERIODIC_WIDTH
        n = 2 * N_FREQUENCIES + 1
        self.frequencies = nn.Parameter(0.3 * torch.randn(features, N_FREQUENCIES))
        self.weight = nn.Parameter((torch.rand(features, n, PERIODIC_WIDTH) * 2 - 1) / n**0.5)
        self.bias = nn.Parameter(torch.zeros(features, PERIODIC_WIDTH))

    def prepare(self, values: Tensor) -> None:
        """Needs nothing from the rows."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, F)`` to ``(N, width)``."""
        angles = 2 * torch.pi * self.frequencies * x[:, :, None]
        waves = torch.cat([x[:, :, None], angles.sin(), angles.cos()], dim=2)
        return torch.relu(torch.einsum("nfk,fkw->nfw", waves, self.weight) + self.bias).flatten(1)


class Raw(nn.Module):
    """Leaves numbers as they are."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.width = features

    def prepare(self, values: Tensor) -> None:
        """Needs nothing from the rows."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, F)`` to itself."""
        return x


class Categories(nn.Module):
    """Turns category codes into vectors; what is missing or new has one of its own.

    Args:
        levels: ``(Fc,)`` number of categories of each column.
        onehot: Whether columns with few levels get a cell per level and no learned vector.
    """

    def __init__(self, levels: list[int], onehot: bool) -> None:
        super().__init__()
        self.levels = levels
        self.plain = [onehot and n <= MAX_ONEHOT for n in levels]
        learned = [min(MAX_EMBEDDING, 2 + n // 2) for n in levels]
        self.width = sum(n + 1 if p else w for n, w, p in zip(levels, learned, self.plain, strict=True))
        self.tables = nn.ModuleList(
            nn.Identity() if p else nn.Embedding(n + 1, w) for n, w, p in zip(levels, learned, self.plain, strict=True)
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Maps ``(N, Fc)`` codes, -1 where missing, to ``(N, width)``."""
        parts = []
        for j, n in enumerate(self.levels):
            code = codes[:, j] + 1
            code = torch.where(code > n, 0, code)
            parts.append(nn.functional.one_hot(code, n + 1).float() if self.plain[j] else self.tables[j](code))
        return torch.cat(parts, dim=1) if parts else torch.zeros(len(codes), 0)


class DenseBlock(nn.Module):
    """Adds to its input what two layers make of it."""

    def __init__(self, width: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.norm = flat_norm(norm, width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, width)`` to the same shape."""
        inner = self.dropout(torch.relu(self.first(self.norm(x))))
        return x + self.dropout(self.second(inner))


class ChannelNorm(nn.Module):
    """Normalises over the channels of each place, so that padding has no part in it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, T)`` to the same shape."""
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class ConvBlock(nn.Module):
    """Adds to its input what two convolutions make of it; works on images and on sequences.

    Args:
        dimensions: 2 for images, 1 for sequences.
        channels: Of what comes in.
        width: Channels of what goes out.
        stride: Of the first convolution.
        norm: none | batch | layer.
    """

    def __init__(self, dimensions: int, channels: int, width: int, stride: int, norm: str) -> None:
        super().__init__()
        conv, size = (nn.Conv2d, 3) if dimensions == 2 else (nn.Conv1d, 5)
        self.stride = stride
        self.first = conv(channels, width, size, stride, size // 2)
        self.norm1 = conv_norm(dimensions, norm, width)
        self.second = conv(width, width, size, 1, size // 2)
        self.norm2 = conv_norm(dimensions, norm, width)
        same = channels == width and stride == 1
        self.shortcut = nn.Identity() if same else conv(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Maps ``(N, C, ...)`` to ``(N, width, ...)``; the mask is that of what goes out."""
        inner = torch.relu(self.norm1(self.first(x)))
        inner = self.norm2(self.second(inner if mask is None else inner * mask))
        out = torch.relu(inner + self.shortcut(x))
        return out if mask is None else out * mask


def flat_norm(choice: str, width: int) -> nn.Module:
    """Returns the norm of ``(N, width)``."""
    return {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[choice](width)


def conv_norm(dimensions: int, choice: str, channels: int) -> nn.Module:
    """Returns the norm of ``(N, C, H, W)`` or ``(N, C, T)``."""
    if choice == "none":
        return nn.Identity()
    if dimensions == 2:
        return nn.BatchNorm2d(channels) if choice == "batch" else nn.GroupNorm(1, channels)
    return nn.BatchNorm1d(channels) if choice == "batch" else ChannelNorm(channels)
