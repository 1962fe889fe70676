"""A rotation of an encoder's space on disk: `rotation.safetensors` beside the model, where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import BundleError

ROTATION = "rotation.safetensors"
_ERROR = 1e-4
"""Allowed distance of R'R from the identity: float32 rounding is below 1e-6."""


def save_rotation(rotation: NDArray[np.float32] | None, folder: Path) -> None:
    """Write it into `folder`, or remove what is there for None."""
    from safetensors.numpy import save_file

    if rotation is None:
        (folder / ROTATION).unlink(missing_ok=True)
    else:
        save_file({"rotation": np.ascontiguousarray(rotation)}, folder / ROTATION)


def load_rotation(folder: Path) -> NDArray[np.float32] | None:
    """Inverse of `save_rotation`.

    Raises:
        BundleError: the file is broken.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / ROTATION
    if not path.exists():
        return None
    try:
        return load_file(path)["rotation"]
    except (OSError, LookupError, SafetensorError) as error:
        raise BundleError(f"{path}: not a rotation: {' '.join(str(error).split())}") from error


def check_rotation(rotation: NDArray[np.float32], dimension: int) -> None:
    """Refuse what is no orthogonal float32 matrix (dimension, dimension).

    Raises:
        BundleError: with what was found.
    """
    if rotation.shape != (dimension, dimension) or rotation.dtype != np.float32:
        raise BundleError(
            f"rotation: found {rotation.dtype} of shape {rotation.shape}, "
            f"expected float32 of shape {(dimension, dimension)}"
        )
    error = float(np.abs(rotation.T @ rotation - np.eye(dimension)).max())
    if not error <= _ERROR:
        raise BundleError(f"rotation: its columns are {error:.3g} from orthonormal; align the encoder again")
