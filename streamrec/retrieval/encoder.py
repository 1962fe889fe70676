"""`ItemEncoder`: rows of the item table in, embeddings out; a codec, its model and a rotation."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from streamrec.catalog.codec import FeatureCodec
from streamrec.errors import BundleError
from streamrec.layout import FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.models.layers import multiply_evenly
from streamrec.models.store import load_model, save_model
from streamrec.retrieval.rotation import check_rotation, load_rotation, save_rotation
from streamrec.schema import FeatureSchema
from streamrec.training.device import one_thread

BLOCK_ROWS = 512
"""Rows per forward pass, the last block filled up: matrix products of another height differ in the last
bit, and an item must get the same embedding alone and in a table of a million."""
CODEC_ROWS = 32 * BLOCK_ROWS
"""Rows encoded by the codec at once."""


class ItemEncoder:
    """A fitted codec and the model trained on its output, kept together.

    An item's embedding is the model's latent mean, rotated where the encoder has a rotation: onto the space
    that was published before. On one device it does not depend on the rows beside it: encoding a table in one
    call, in parts or row by row gives the same bits.
    """

    def __init__(
        self, codec: FeatureCodec, model: ItemVAE, rotation: NDArray[np.float32] | None = None
    ) -> None:
        """Put `model` in evaluation mode; `rotation` is (d, d), orthogonal: a latent z becomes z R.

        Raises:
            BundleError: the model was built for another layout than the codec's; no rotation.
        """
        difference = _difference(codec.layout, model.layout)
        if difference:
            raise BundleError(
                f"the model does not belong to the codec: {difference}; use the pair of one run"
            )
        if rotation is not None:
            check_rotation(rotation, model.config.latent_dim)
        self.codec = codec
        self.model = model.eval()
        self.rotation = rotation

    def rotated(self, rotation: NDArray[np.float32]) -> ItemEncoder:
        """The same encoder with its latents rotated by (d, d), in place of the rotation that it has.

        Raises:
            BundleError: no orthogonal matrix of that size.
        """
        return ItemEncoder(self.codec, self.model, rotation)

    @property
    def dimension(self) -> int:
        """Width d of an embedding."""
        return self.model.config.latent_dim

    @property
    def schema(self) -> FeatureSchema:
        """Roles of the columns that `encode` reads."""
        return self.codec.schema

    @property
    def codec_fingerprint(self) -> str:
        """The codec's fingerprint: vectors of encoders with different ones must not be compared."""
        return self.codec.fingerprint

    def encode(self, rows: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Embeddings (n, d), one per row, in row order.

        Other columns than the schema's feature columns are ignored.

        Raises:
            CatalogError: a feature column is missing or holds another type of value.
        """
        return self.encode_with_variance(rows)[0]

    def encode_with_variance(
        self, rows: pa.Table | pa.RecordBatch
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and log-variance along each axis of the embeddings, (n, d) both; the means are the embeddings.

        The model's posterior is independent along its own axes. Along rotated ones the variances returned are
        exact, sum_j R_ji^2 s_j^2, but no longer independent: sample from the model, see `to_latents`.

        Raises:
            CatalogError: as `encode`.
        """
        means = np.empty((rows.num_rows, self.dimension), dtype=np.float32)
        log_variances = np.empty_like(means)
        # One pass even without rows: a wrong column is an error then too.
        for start in range(0, max(rows.num_rows, 1), CODEC_ROWS):
            batch = ItemBatch.from_arrays(self.codec.encode(rows.slice(start, CODEC_ROWS)))
            for offset in range(0, len(batch), BLOCK_ROWS):
                block = batch[offset : offset + BLOCK_ROWS]
                at = slice(start + offset, start + offset + len(block))
                means[at], log_variances[at] = self._latents(block)
        return means, log_variances

    def to_latents(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents (n, d) of the model, which its decoder reads, from embeddings (n, d): rotated back."""
        if self.rotation is None:
            return embeddings
        latents: NDArray[np.float32] = embeddings @ self.rotation.T
        return latents

    def _latents(self, block: ItemBatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows, device = len(block), next(self.model.parameters()).device
        full = ItemBatch(
            _fill(block.categories), _fill(block.labels), _fill(block.numbers), _fill(block.states)
        )
        with torch.inference_mode(), one_thread(device):
            mean, log_variance = self.model.encode(self.model.prepare(full.to(device)))
            if self.rotation is not None:
                rotation = torch.from_numpy(self.rotation.T.copy()).to(device)
                mean = multiply_evenly(mean, rotation)
                log_variance = multiply_evenly(log_variance.exp(), rotation**2).log()
        return mean[:rows].cpu().numpy(), log_variance[:rows].cpu().numpy()

    def save(self, folder: str | Path) -> None:
        """Write `folder`/codec and `folder`/model."""
        self.codec.save(Path(folder) / "codec")
        save_model(self.model, Path(folder) / "model")
        save_rotation(self.rotation, Path(folder) / "model")

    @classmethod
    def load(cls, folder: str | Path) -> ItemEncoder:
        """Read what `save` wrote, on the CPU.

        Raises:
            StreamRecError: a file is missing or damaged, or codec and model are not a pair.
        """
        codec, model = FeatureCodec.load(Path(folder) / "codec"), load_model(Path(folder) / "model")
        rotation = load_rotation(Path(folder) / "model")
        try:
            return cls(codec, model, rotation)
        except BundleError as error:
            raise BundleError(f"{folder}: {error}") from None


def _fill(part: Tensor) -> Tensor:
    return pad(part, (0, 0, 0, BLOCK_ROWS - len(part)))


def _difference(codec: FeatureLayout, model: FeatureLayout) -> str | None:
    for kind, ours in codec.to_dict().items():
        for one, other in zip_longest(ours, getattr(model, kind)):
            if one != other:
                return f"{kind}: found {other or 'nothing'} in the model, expected {one or 'nothing'}"
    return None
