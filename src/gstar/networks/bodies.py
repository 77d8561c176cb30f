"""The networks, one per form of rows: what a structure in JSON says becomes a module.

A structure holds a name, sizes, and the configuration. Every network maps tensors with N rows to
``(N, outputs)``, has a `head`, and a `prepare` that fits scalings and edges to the support rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from gstar.networks.layers import (
    Categories,
    ConvBlock,
    DenseBlock,
    Periodic,
    PiecewiseLinear,
    Raw,
    Scaling,
    conv_norm,
    flat_norm,
)

MAX_EMBEDDED: Final = 150
"""Tables with more number columns than this do without embeddings of numbers."""
PREPARE_ROWS: Final = 2_000
"""Scalings of images and sequences are fitted to so many rows at most, evenly spread."""

EMBEDDINGS: Final[dict[str, type[Any]]] = {"none": Raw, "piecewise": PiecewiseLinear, "periodic": Periodic}


class TableNetwork(nn.Module):
    """Embeds numbers and categories, and refines them in residual blocks."""

    def __init__(self, structure: Mapping[str, Any]) -> None:
        super().__init__()
        c, numbers = structure["configuration"], structure["numbers"]
        width = c["width"]
        self.numbers = EMBEDDINGS[c["embedding"] if numbers <= MAX_EMBEDDED else "none"](numbers)
        self.categories = Categories(structure["levels"], c["categories"] == "onehot")
        self.entry = nn.Linear(self.numbers.width + self.categories.width, width)
        self.blocks = nn.ModuleList(DenseBlock(width, c["norm"], c["dropout"]) for _ in range(c["depth"]))
        self.norm = flat_norm(c["norm"], width)
        self.head = nn.Linear(width, structure["outputs"])

    def prepare(self, numbers: Tensor, codes: Tensor) -> None:
        """Fits the edges of bins."""
        self.numbers.prepare(numbers)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Maps ``(N, F)`` numbers and ``(N, Fc)`` codes to ``(N, outputs)``."""
        x = self.entry(torch.cat([self.numbers(numbers), self.categories(codes)], dim=1))
        for block in self.blocks:
            x = block(x)
        return self.head(torch.relu(self.norm(x)))


class ImageNetwork(nn.Module):
    """Convolves images in stages of half the size and twice the channels, and pools over all places."""

    def __init__(self, structure: Mapping[str, Any]) -> None:
        super().__init__()
        c = structure["configuration"]
        self.scaling = Scaling(structure["channels"])
        self.augment = c["augment"]
        self.stem = nn.Conv2d(structure["channels"], c["width"], 3, structure["stride"], 1)
        self.norm = conv_norm(2, c["norm"], c["width"])
        self.blocks, width = _stages(2, c)
        self.dropout = nn.Dropout(c["dropout"])
        self.head = nn.Linear(2 * width, structure["outputs"])

    def prepare(self, pixels: Tensor) -> None:
        """Fits the scaling of each channel."""
        some = pixels[:: 1 + len(pixels) // PREPARE_ROWS].float()
        self.scaling.prepare(some.transpose(0, 1).flatten(1).T)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` pixels to ``(N, outputs)``."""
        x = self.scaling(pixels.float())
        if self.training:
            x = augmented(x, self.augment)
        x = x.contiguous(memory_format=torch.channels_last)  # a fifth faster
        x = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        return self.head(self.dropout(pooled))


class SequenceNetwork(nn.Module):
    """Convolves sequences in stages of half the length and twice the channels; padding has no part in it."""

    def __init__(self, structure: Mapping[str, Any]) -> None:
        super().__init__()
        c = structure["configuration"]
        self.entry = SequenceEntry(structure["channels"], structure["gaps"])
        self.stride = structure["stride"]
        self.stem = nn.Conv1d(self.entry.width, c["width"], 7, self.stride, 3)
        self.norm = conv_norm(1, c["norm"], c["width"])
        self.blocks, width = _stages(1, c)
        self.dropout = nn.Dropout(c["dropout"])
        self.head = nn.Linear(2 * width, structure["outputs"])

    def prepare(self, steps: Tensor, lengths: Tensor) -> None:
        """Fits the scaling of each channel."""
        self.entry.prepare(steps, lengths)

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Maps ``(N, T, D)`` steps and their ``(N,)`` lengths to ``(N, outputs)``."""
        x = self.entry(steps, lengths)
        x = self.norm(self.stem(x))
        lengths = shorter(lengths, self.stride)
        x = torch.relu(x) * mask_of(lengths, x.shape[2])
        for block in self.blocks:
            lengths = shorter(lengths, block.stride)
            x = block(x, mask_of(lengths, -(-x.shape[2] // block.stride)))
        mean = x.sum(2) / lengths[:, None]
        return self.head(self.dropout(torch.cat([mean, x.amax(2)], dim=1)))  # x >= 0: padding is never the largest


class RecurrentNetwork(nn.Module):
    """Reads sequences step by step; long ones are first folded, several steps into one.

    The other direction is a reader of its own that is given each sequence back to front, so that no
    row need be packed: padding comes last for both, and neither sees it before the end.
    """

    def __init__(self, structure: Mapping[str, Any]) -> None:
        super().__init__()
        c = structure["configuration"]
        width, self.ways = c["width"], 1 + c["bidirectional"]
        self.width, self.stride = width, structure["stride"]
        self.entry = SequenceEntry(structure["channels"], structure["gaps"])
        self.fold = nn.Conv1d(self.entry.width, width, self.stride, self.stride)
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[c["cell"]]
        sizes = [width] + [width * self.ways] * (c["depth"] - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(cell(size, width, batch_first=True) for _ in range(self.ways)) for size in sizes
        )
        self.norm = flat_norm(c["norm"], 2 * width * self.ways)
        self.dropout = nn.Dropout(c["dropout"])
        self.head = nn.Linear(2 * width * self.ways, structure["outputs"])

    def prepare(self, steps: Tensor, lengths: Tensor) -> None:
        """Fits the scaling of each channel."""
        self.entry.prepare(steps, lengths)

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Maps ``(N, T, D)`` steps and their ``(N,)`` lengths to ``(N, outputs)``."""
        x = self.entry(steps, lengths)
        x = self.fold(nn.functional.pad(x, (0, -x.shape[2] % self.stride))).transpose(1, 2)
        lengths = shorter(lengths, self.stride)
        mask, back = mask_of(lengths, x.shape[1]).transpose(1, 2), reversal(lengths, x.shape[1])
        for i, readers in enumerate(self.layers):
            x = self.dropout(x) if i else x
            read = [readers[0](x)[0]]
            if self.ways == 2:
                read.append(turned(readers[1](turned(x, back))[0], back))
            x = torch.cat(read, dim=2) * mask
        last = x[torch.arange(len(x)), lengths - 1, : self.width]
        ends = [x.sum(1) / lengths[:, None], last, x[:, 0, self.width :]]
        return self.head(self.dropout(self.norm(torch.cat(ends, dim=1))))


class SequenceEntry(nn.Module):
    """Scales sequences, fills gaps with 0, and cuts off what all rows have as padding.

    Args:
        channels: D.
        gaps: Whether each channel has another one beside it that says where it is missing.
    """

    def __init__(self, channels: int, gaps: bool) -> None:
        super().__init__()
        self.gaps = gaps
        self.width = channels * (1 + gaps)
        self.scaling = Scaling(channels)

    def prepare(self, steps: Tensor, lengths: Tensor) -> None:
        """Fits the scaling of each channel to the steps before the end of each sequence."""
        every = 1 + len(steps) // PREPARE_ROWS
        inside = mask_of(lengths[::every], steps.shape[1])[:, 0].bool()
        self.scaling.prepare(steps[::every][inside])

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Maps ``(N, T, D)`` steps to ``(N, width, T')``, T' the largest length, 0 in the padding."""
        x = steps[:, : int(lengths.max())].transpose(1, 2)
        parts = [self.scaling(x)] + ([torch.isnan(x).float()] if self.gaps else [])
        return torch.cat(parts, dim=1) * mask_of(lengths, x.shape[2])


def augmented(x: Tensor, how: str) -> Tensor:
    """Moves ``(N, C, H, W)`` images by up to a tenth of their size, half of the batch as the mirror shows it.

    Args:
        x: The images; what comes in at a side is 0.
        how: none | shift | mirror; the last one shifts too.
    """
    if how == "none":
        return x
    for axis in (2, 3):
        most = x.shape[axis] // 10
        by = int(torch.randint(-most, most + 1, ()))
        x = torch.roll(x, by, axis)
        gap = slice(0, by) if by >= 0 else slice(by, None)
        x[(slice(None),) * axis + (gap,)] = 0
    if how == "mirror":
        mirrored = torch.rand(len(x)) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x


def mask_of(lengths: Tensor, longest: int) -> Tensor:
    """Returns ``(N, 1, T)``: 1 before the end of each sequence, 0 after."""
    return (torch.arange(longest) < lengths[:, None]).float()[:, None]


def shorter(lengths: Tensor, stride: int) -> Tensor:
    """Returns the ``(N,)`` lengths after reading in strides, rounded up."""
    return torch.div(lengths + stride - 1, stride, rounding_mode="floor")


def reversal(lengths: Tensor, longest: int) -> Tensor:
    """Returns ``(N, T)`` the places that turn each sequence back to front, and leave its padding."""
    place = torch.arange(longest)
    return torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)


def turned(x: Tensor, places: Tensor) -> Tensor:
    """Returns ``(N, T, D)`` with the steps of each row at these ``(N, T)`` places."""
    return x.gather(1, places[:, :, None].expand_as(x))


def _stages(dimensions: int, c: Mapping[str, Any]) -> tuple[nn.ModuleList, int]:
    """Returns the blocks and the channels of the last one."""
    widths = [c["width"] * 2**i for i in range(c["depth"])]
    blocks = [
        ConvBlock(dimensions, before, width, 1 if i == 0 else 2, c["norm"])
        for i, (before, width) in enumerate(zip([c["width"], *widths], widths, strict=False))
    ]
    return nn.ModuleList(blocks), widths[-1]


NETWORKS: Final[dict[str, type[nn.Module]]] = {
    "table": TableNetwork,
    "images": ImageNetwork,
    "sequences": SequenceNetwork,
    "recurrent": RecurrentNetwork,
}


def build(structure: Mapping[str, Any]) -> nn.Module:
    """Returns the network that a structure describes, its weights drawn from torch's generator."""
    return NETWORKS[structure["network"]](structure)
