"""Batches of encoded items."""

from __future__ import annotations

import numpy as np
import torch

from streamrec.catalog.encoded import EncodedRows
from streamrec.models.batch import ItemBatch


def test_a_batch_holds_the_codecs_arrays_and_is_cut_by_rows() -> None:
    rng = np.random.default_rng(0)
    encoded = EncodedRows(
        rng.integers(0, 9, (6, 2)),
        rng.integers(0, 2, (6, 3)).astype(np.float32),
        rng.standard_normal((6, 4)).astype(np.float32),
        rng.integers(0, 3, (6, 4)),
    )
    batch = ItemBatch.from_arrays(encoded)
    assert len(batch) == 6
    chosen = torch.tensor([5, 0, 3])
    for kind in ("categories", "labels", "numbers", "states"):
        whole = torch.from_numpy(getattr(encoded, kind))
        assert torch.equal(getattr(batch, kind), whole)
        assert getattr(batch, kind).dtype == whole.dtype
        assert torch.equal(getattr(batch[chosen], kind), whole[chosen])
        assert torch.equal(getattr(batch[2:4], kind), whole[2:4])
        assert torch.equal(getattr(batch.to("cpu"), kind), whole)
