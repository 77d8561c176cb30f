"""Networks as files: tensors by safetensors, the structure by JSON, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from gstar.errors import UntrustedFileError
from gstar.networks.bodies import build

STRUCTURE: Final = "network.json"
WEIGHTS: Final = "weights.safetensors"


def dump(network: nn.Module, structure: Mapping[str, Any]) -> dict[str, bytes]:
    """Returns a network as two named parts."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    return {STRUCTURE: json.dumps(dict(structure)).encode(), WEIGHTS: save(tensors)}


def tensors_of(parts: Mapping[str, bytes]) -> dict[str, Tensor]:
    """Returns the tensors of a saved network by name.

    Raises:
        UntrustedFileError: If there are none, or not as safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found: dict[str, Tensor] = load(parts[WEIGHTS])
    except (KeyError, SafetensorError, ValueError, TypeError) as error:
        raise UntrustedFileError(f"The weights of a network are not whole safetensors ({error!r:.120}).") from error
    return found


def structure_of(parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns the structure of a saved network.

    Raises:
        UntrustedFileError: If there is none.
    """
    try:
        structure = json.loads(parts[STRUCTURE])
    except (KeyError, ValueError) as error:
        raise UntrustedFileError(f"The structure of a network is damaged ({error!r:.120}).") from error
    if not isinstance(structure, dict):
        raise UntrustedFileError(f"Expected the structure of a network, got {structure!r:.120}.")
    return structure


def load(parts: Mapping[str, bytes]) -> nn.Module:
    """Builds the network that `dump` saved; memory is taken only for tensors that are there.

    Raises:
        UntrustedFileError: If the parts are not those of a network, or do not agree with each other.
    """
    structure, tensors = structure_of(parts), tensors_of(parts)
    try:
        with torch.device("meta"):
            network = build(structure)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UntrustedFileError(f"The structure of a network makes no sense ({error!r:.120}).") from error
    expected = {name: (t.shape, t.dtype) for name, t in network.state_dict().items()}
    if expected != {name: (t.shape, t.dtype) for name, t in tensors.items()}:
        raise UntrustedFileError("The weights of a network do not fit its structure.")
    network.load_state_dict(tensors, assign=True)
    return network.eval()
