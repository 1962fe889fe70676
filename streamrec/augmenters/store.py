"""Augmenters on disk: `augmenter.json`, `arrays.safetensors`, the codec and, for latents, the ItemVAE."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.drafts import Drafter, Space
from streamrec.augmenters.latents import LatentDecoder, LatentDrafter, VAEDrafter
from streamrec.augmenters.refinement.refinement import Refinement
from streamrec.augmenters.rows import RowDrafter
from streamrec.augmenters.scores import ScoreMap
from streamrec.augmenters.settings import Family
from streamrec.catalog.codec import FeatureCodec
from streamrec.errors import BundleError
from streamrec.models.diffusion.model import Diffusion
from streamrec.models.flow.model import FlowMatching
from streamrec.models.masked import MaskedNetwork
from streamrec.models.settings import DiffusionConfig, FlowConfig
from streamrec.models.store import load_model, save_model

FORMAT = 1
"""Version of the stored form; another one is refused."""
DESCRIPTION, ARRAYS, CODEC, MODEL = "augmenter.json", "arrays.safetensors", "codec", "model"

Tensors = dict[str, Tensor]


def save_augmenter(augmenter: TableAugmenter, folder: Path) -> None:
    """Write the augmenter into `folder`; equal augmenters give equal bytes."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    drafter, space = augmenter.drafter, augmenter.space
    tensors = _numbered("scores", space.scores.to_arrays())
    tensors |= _numbered("refinement", augmenter.refinement.to_arrays())
    settings: dict[str, Any] = {}
    if isinstance(drafter, RowDrafter | LatentDrafter):
        tensors |= _weights("vectors", drafter.vectors)
        settings["vectors"] = asdict(drafter.vectors.config)
        if drafter.discrete is not None:
            tensors |= _weights("discrete", drafter.discrete)
    if isinstance(drafter, LatentDrafter):
        tensors |= {"latents.mean": drafter.mean, "latents.deviation": drafter.deviation}
    if isinstance(drafter, VAEDrafter):
        tensors |= {
            "posterior.codes": torch.from_numpy(drafter.codes),
            "posterior.means": drafter.means,
            "posterior.log_variances": drafter.log_variances,
        }
    if isinstance(drafter, LatentDrafter | VAEDrafter):
        tensors["decoder.deviations"] = drafter.decoder.deviations
        save_model(drafter.decoder.model, folder / MODEL)
    space.codec.save(folder / CODEC)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / ARRAYS)
    description = {
        "format": FORMAT,
        "family": augmenter.family,
        "codec": space.codec.fingerprint,
        "settings": settings,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1))


def load_augmenter(folder: str | Path) -> TableAugmenter:
    """Inverse of `TableAugmenter.save`.

    Raises:
        BundleError: a file is absent, broken, of another format, or of another codec.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    codec = FeatureCodec.load(folder / CODEC)
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        if description["format"] != FORMAT:
            raise BundleError(
                f"{folder / DESCRIPTION}: found format {description['format']!r}, expected {FORMAT}; "
                "load it with the version of streamrec that wrote it"
            )
        if description["codec"] != codec.fingerprint:
            raise BundleError(
                f"{folder}: the codec has fingerprint {codec.fingerprint}, expected "
                f"{description['codec']}; restore all files of the augmenter"
            )
        tensors = load_file(folder / ARRAYS)
        space = Space(codec, ScoreMap.from_arrays(_arrays("scores", tensors)))
        family = cast(Family, description["family"])
        drafter = _drafter(family, space, tensors, description["settings"], folder)
        refinement = Refinement.from_arrays(_arrays("refinement", tensors))
    except OSError as error:
        raise BundleError(f"{folder}: cannot read the augmenter: {error}") from error
    except (ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{folder}: {DESCRIPTION} or {ARRAYS} is broken ({reason})") from error
    return TableAugmenter(family, space, drafter, refinement)


def _drafter(
    family: Family, space: Space, tensors: Tensors, settings: dict[str, Any], folder: Path
) -> Drafter:
    if family in ("flow", "diffusion"):
        dimension = len(space.scores.columns)
        return RowDrafter(
            space, _discrete(space, tensors), _vectors(family, dimension, space, tensors, settings)
        )
    decoder = LatentDecoder(space, load_model(folder / MODEL), tensors["decoder.deviations"])
    if family in ("vae", "vae_prior"):
        codes = tensors["posterior.codes"].numpy()
        means, log_variances = tensors["posterior.means"], tensors["posterior.log_variances"]
        return VAEDrafter(decoder, codes, means, log_variances, "posterior" if family == "vae" else "prior")
    mean, deviation = tensors["latents.mean"], tensors["latents.deviation"]
    vectors = _vectors(family.removeprefix("latent_"), len(mean), space, tensors, settings)
    return LatentDrafter(decoder, _discrete(space, tensors), vectors, mean, deviation)


def _vectors(
    kind: str, dimension: int, space: Space, tensors: Tensors, settings: dict[str, Any]
) -> FlowMatching | Diffusion:
    blocks = list(space.columns.sizes)
    vectors: FlowMatching | Diffusion
    if kind == "flow":
        vectors = FlowMatching(dimension, blocks, FlowConfig(**settings["vectors"]))
    elif kind == "diffusion":
        vectors = Diffusion(dimension, blocks, DiffusionConfig(**settings["vectors"]))
    else:
        raise ValueError(f"unknown family {kind!r}")
    vectors.load_state_dict(_with_prefix("vectors", tensors))
    return vectors.eval()


def _discrete(space: Space, tensors: Tensors) -> MaskedNetwork | None:
    weights = _with_prefix("discrete", tensors)
    if not weights:
        return None
    network = MaskedNetwork(space.columns.sizes, space.columns.possible)
    network.load_state_dict(weights)
    return network.eval()


def _weights(prefix: str, module: nn.Module) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def _numbered(prefix: str, arrays: dict[str, np.ndarray]) -> Tensors:
    return {f"{prefix}.{name}": torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}


def _with_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {n.removeprefix(f"{prefix}."): t for n, t in tensors.items() if n.startswith(f"{prefix}.")}


def _arrays(prefix: str, tensors: Tensors) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in _with_prefix(prefix, tensors).items()}
