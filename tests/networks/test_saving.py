"""Saved networks: what `dump` writes comes back, everything else is refused."""

from __future__ import annotations

import json
import pickle

import pytest

torch = pytest.importorskip("torch")

from gstar.errors import UntrustedFileError  # noqa: E402
from gstar.networks.bodies import build  # noqa: E402
from gstar.networks.saving import dump, load  # noqa: E402

CONFIGURATION = {"embedding": "piecewise", "categories": "onehot", "width": 8, "depth": 1, "norm": "batch"}
STRUCTURE = {"network": "table", "numbers": 3, "levels": [2], "outputs": 2, "configuration": CONFIGURATION}
CONFIGURATION["dropout"] = 0.0


def make_parts():
    return dump(build(STRUCTURE), STRUCTURE)


def test_a_network_comes_back_without_a_random_number_drawn():
    network = build(STRUCTURE).eval()
    before = torch.get_rng_state()
    loaded = load(dump(network, STRUCTURE))
    assert torch.equal(before, torch.get_rng_state())
    x = torch.randn(4, 3), torch.zeros(4, 1, dtype=torch.int64)
    torch.testing.assert_close(loaded(*x), network(*x), atol=0, rtol=0)
    assert not loaded.training


def changed(**structure):
    return {"network.json": json.dumps({**STRUCTURE, **structure}).encode()}


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"weights.safetensors": pickle.dumps({"a": 1})}, "not whole safetensors"),
        ({"weights.safetensors": b""}, "not whole safetensors"),
        ({"network.json": b"{"}, "structure of a network is damaged"),
        ({"network.json": b"[1]"}, "Expected the structure"),
        (changed(network="evil"), "makes no sense"),
        (changed(numbers="x"), "makes no sense"),
        (changed(outputs=-1), "makes no sense"),
        (changed(numbers=4), "do not fit its structure"),
        (changed(outputs=10**9), "do not fit its structure"),
    ],
)
def test_anything_else_is_refused(parts, match):
    with pytest.raises(UntrustedFileError, match=match):
        load(make_parts() | parts)


@pytest.mark.parametrize("name", ["weights.safetensors", "network.json"])
def test_a_missing_part_is_refused(name):
    parts = make_parts()
    del parts[name]
    with pytest.raises(UntrustedFileError, match=r"weights|structure"):
        load(parts)


def test_weights_of_another_type_are_refused():
    from safetensors.torch import save

    tensors = {name: t.double() for name, t in build(STRUCTURE).state_dict().items()}
    with pytest.raises(UntrustedFileError, match="do not fit"):
        load(make_parts() | {"weights.safetensors": save(tensors)})
