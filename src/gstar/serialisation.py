"""Saves fitted scikit-learn parts without pickle, and loads nothing but what we would save."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gstar.errors import UntrustedFileError

ALLOWED: Final = frozenset(
    {
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.tree._tree.Tree",
        "sklearn.tree.tree._tree.Tree",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "scipy.interpolate._bsplines.BSpline",
        "scipy.sparse._csr.csr_matrix",
        "scipy.sparse._dia.dia_matrix",
        "scipy.sparse._dia.dia_array",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.EuclideanDistance",
        "sklearn.metrics._dist_metrics.DistanceMetric64",
        "numpy.dtype",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
    }
)
"""Types that our own parts hold beyond those that skops trusts by itself."""

MAX_MEMBER_BYTES: Final = 2 * 2**30


def dump_sklearn(fitted: Any) -> bytes:
    """Returns a fitted scikit-learn object, or a dict or list of such, as bytes."""
    from gstar.lean_skops import dumps

    content: bytes = dumps(fitted, compression=zipfile.ZIP_STORED)
    return content


def load_sklearn(content: bytes) -> Any:
    """Builds what `dump_sklearn` saved.

    Raises:
        UntrustedFileError: If the bytes are not such a file, or hold a type that is not allowed.
    """
    from gstar.lean_skops import UntrustedTypesFoundException, get_untrusted_types, loads

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_MEMBER_BYTES:
                raise UntrustedFileError("A model part unpacks to more than 2 GB; it was not loaded.")
        foreign = sorted(set(get_untrusted_types(data=content)) - ALLOWED)
        if foreign:
            raise UntrustedFileError(f"A model part holds types that gstar never saves: {foreign}; it was not loaded.")
        return loads(content, trusted=sorted(ALLOWED & set(get_untrusted_types(data=content))))
    except UntrustedTypesFoundException as error:
        raise UntrustedFileError(f"A model part holds types that gstar never saves: {error}") from error
    except UntrustedFileError:
        raise
    except Exception as error:
        raise UntrustedFileError(f"A model part is damaged or not one of gstar's ({error!r:.200}).") from error


def dump_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns arrays by name as bytes."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def load_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Builds what `dump_arrays` saved.

    Raises:
        ValueError, OSError, EOFError: If the bytes are no such file, or hold Python objects.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
