"""Families that draw latents of the ItemVAE: `VAEDrafter` and `LatentDrafter`, and the decoder they share."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamrec.augmenters.drafts import Draft, Space
from streamrec.augmenters.rows import draw_codes
from streamrec.catalog.encoded import EncodedRows
from streamrec.layout import MISSING_STATE, VALUE_STATE
from streamrec.models.batch import ItemBatch
from streamrec.models.diffusion.model import Diffusion
from streamrec.models.discrete import UNKNOWN
from streamrec.models.flow.model import FlowMatching
from streamrec.models.gaussian import sample_posterior
from streamrec.models.item_vae import ItemVAE, Prepared
from streamrec.models.masked import MaskedNetwork

DENSITY_DRAWS = 64
"""Latents per row of the importance-weighted bound on its log probability."""
DENSITY_ROWS = 512
"""Rows whose bound is computed at once."""


class LatentDecoder:
    """Rows drawn from p(x | z) of an ItemVAE.

    The number's Gaussian has the deviation of the training rows' residuals, not the fixed one of the
    training loss: rows drawn with that one would have too much noise, their means too little.

    Args:
        space: codec and scores.
        model: the run's ItemVAE.
        deviations: (N,) standard deviation of each number's residual, encoded units.
    """

    def __init__(self, space: Space, model: ItemVAE, deviations: Tensor) -> None:
        self.space, self.model, self.deviations = space, model.eval(), deviations

    @classmethod
    @torch.no_grad()
    def fit(cls, space: Space, model: ItemVAE, rows: EncodedRows) -> LatentDecoder:
        """Measure the residuals of training rows (n,) at one draw of their latents."""
        prepared = model.prepare(ItemBatch.from_arrays(rows))
        latents = sample_posterior(*model.encode(prepared), torch.Generator().manual_seed(0))
        residuals = torch.from_numpy(rows.numbers) - model.decode(latents, prepared).numbers
        ordinary = torch.from_numpy(rows.states == VALUE_STATE).float()
        squares = (residuals.square() * ordinary).sum(0) / ordinary.sum(0).clamp(min=1)
        return cls(space, model, squares.sqrt().clamp(min=1e-3))

    @torch.no_grad()
    def draft(self, latents: Tensor, given: NDArray[np.int64], generator: torch.Generator) -> Draft:
        """Rows (n,) of latents (n, d); discrete codes other than UNKNOWN are taken from `given` (n, K)."""
        items = self._items(given)
        decoded = self.model.decode(latents, self.model.prepare(items))
        drawn = self.model.draw(decoded, self.deviations, generator, items)
        codes = self.space.columns.codes(drawn).numpy()
        codes = np.where(given == UNKNOWN, codes, given)
        kept, labels, missing = self.space.columns.split(torch.from_numpy(codes))
        # A number that the codes say is there cannot be drawn as missing.
        present = drawn.states.masked_fill(drawn.states == MISSING_STATE, VALUE_STATE)
        states = present.masked_fill(missing, MISSING_STATE)
        table = self.space.codec.decode(
            EncodedRows(kept.numpy(), labels.numpy(), drawn.numbers.numpy(), states.numpy())
        )
        seed = int(torch.randint(2**31, (1,), generator=generator))
        return Draft(codes, self.space.draft(self.space.codec.encode(table), seed).scores)

    def _items(self, codes: NDArray[np.int64]) -> ItemBatch:
        """Items with the codes and nothing else, for a model that decodes under a condition."""
        categories, labels, _ = self.space.columns.split(torch.from_numpy(np.maximum(codes, 0)))
        shape = len(codes), len(self.space.codec.layout.numeric)
        return ItemBatch(categories, labels, torch.zeros(shape), torch.zeros(shape, dtype=torch.int64))


class VAEDrafter:
    """Latents of the prior N(0, I), or of the aggregated posterior: q(z | x) of a training row drawn by seed.

    Args:
        decoder: of the ItemVAE.
        codes: (m, K) discrete codes of training rows.
        means, log_variances: (m, d) of their posteriors.
        latents: which of the two.
    """

    def __init__(
        self,
        decoder: LatentDecoder,
        codes: NDArray[np.int64],
        means: Tensor,
        log_variances: Tensor,
        latents: Literal["prior", "posterior"],
    ) -> None:
        self.decoder, self.latents = decoder, latents
        self.codes, self.means, self.log_variances = codes, means, log_variances

    def draft(self, given: NDArray[np.int64], seed: int) -> Draft:
        """Draw rows (n,) with discrete codes as `given` (n, K), the same in every row."""
        generator = torch.Generator().manual_seed(seed)
        n = len(given)
        known = given[0] != UNKNOWN if n else np.zeros(given.shape[1], bool)
        rows = np.arange(len(self.codes))
        if known.any():
            rows = np.flatnonzero((self.codes[:, known] == given[0, known]).all(1))
        chosen = torch.from_numpy(rows)[torch.randint(len(rows), (n,), generator=generator)]
        if self.latents == "prior":
            latents = torch.randn(n, self.means.shape[1], generator=generator)
        else:
            latents = sample_posterior(self.means[chosen], self.log_variances[chosen], generator)
        condition = given.copy()
        column = self.decoder.model.condition_column
        if column is not None:
            condition[:, column] = self.codes[chosen.numpy(), column]
        return self.decoder.draft(latents, condition, generator)

    @torch.no_grad()
    def log_density(self, rows: EncodedRows, seed: int) -> NDArray[np.float64]:
        """Importance-weighted lower bound (n,) of the log density of encoded rows (Burda et al. 2016)."""
        generator = torch.Generator().manual_seed(seed)
        model = self.decoder.model
        found = self.decoder.space.log_scaling(rows, rows.states == VALUE_STATE)
        for start in range(0, len(rows), DENSITY_ROWS):
            block = ItemBatch.from_arrays(rows[start : start + DENSITY_ROWS])
            prepared = model.prepare(block)
            mean, log_variance = model.encode(prepared)
            ordinary = (block.states == VALUE_STATE).float()
            weights = []
            for _ in range(DENSITY_DRAWS):
                latents = sample_posterior(mean, log_variance, generator)
                prior = -0.5 * latents.square().sum(1)
                noise = (latents - mean) * torch.exp(-0.5 * log_variance)
                posterior = -0.5 * (noise.square() + log_variance).sum(1)
                weights.append(self._log_likelihood(latents, prepared, ordinary) + prior - posterior)
            bound = torch.logsumexp(torch.stack(weights).double(), 0) - math.log(DENSITY_DRAWS)
            found[start : start + DENSITY_ROWS] += bound.numpy()
        return found

    def _log_likelihood(self, latents: Tensor, prepared: Prepared, ordinary: Tensor) -> Tensor:
        model, deviations = self.decoder.model, self.decoder.deviations
        decoded = model.decode(latents, prepared)
        terms = model.negative_log_likelihood(decoded, prepared)
        discrete = sum((nats for name, nats in terms.items() if name != "numbers"), torch.zeros(len(latents)))
        error = (prepared.inputs[:, : ordinary.shape[1]] - decoded.numbers) / deviations
        gaussian = -0.5 * error.square() - deviations.log() - 0.5 * math.log(2 * math.pi)
        return (gaussian * ordinary).sum(1) - discrete


class LatentDrafter:
    """A flow or a diffusion of the latents given the discrete columns (as TabSyn, Zhang et al. 2024).

    Args:
        decoder: of the ItemVAE.
        discrete: model of the discrete columns.
        vectors: model of the standardised latents given their one-hot.
        mean, deviation: (d,) of the latents.
    """

    def __init__(
        self,
        decoder: LatentDecoder,
        discrete: MaskedNetwork | None,
        vectors: FlowMatching | Diffusion,
        mean: Tensor,
        deviation: Tensor,
    ) -> None:
        self.decoder, self.discrete, self.vectors = decoder, discrete, vectors.eval()
        self.mean, self.deviation = mean, deviation

    @torch.no_grad()
    def draft(self, given: NDArray[np.int64], seed: int) -> Draft:
        """Draw rows (n,) with discrete codes as `given` (n, K), those that are UNKNOWN drawn too."""
        generator = torch.Generator().manual_seed(seed)
        codes = draw_codes(self.discrete, given, generator)
        noise = torch.randn(len(codes), self.vectors.dimension, generator=generator)
        latents = self.vectors.sample(noise, self.decoder.space.columns.one_hot(codes), generator)
        return self.decoder.draft(latents * self.deviation + self.mean, codes.numpy(), generator)
