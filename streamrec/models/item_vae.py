"""`ItemVAE`: a variational autoencoder of mixed item rows (Kingma & Welling 2014)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamrec.layout import (
    FIRST_CATEGORY_CODE,
    MISSING_CODE,
    MISSING_STATE,
    ONE_HOT_SCALE,
    FeatureLayout,
)
from streamrec.models.batch import ItemBatch
from streamrec.models.layers import hidden_layers, project_evenly
from streamrec.models.settings import ItemVAEConfig

IGNORE = -100
"""Target of a cell that the decoder has no class for: it does not count."""

BLOCK_ROWS = 8_192
"""Items whose covariance is summed at once: all of them in float64 would be three times the training set."""


class Prepared(NamedTuple):
    """Items as the VAE reads them; made once, then sliced batch by batch."""

    inputs: Tensor
    """(n, input width) float32: numbers, labels, one-hot categories, number-state flags."""
    targets: Tensor
    """(n, categorical + stateful columns) int64 class targets, IGNORE where there is none."""
    weights: Tensor
    """(n, N) float32: 1 where the cell is not missing, atoms included, and its Gaussian counts; else 0."""


class Decoded(NamedTuple):
    """What the decoder says of each item: the parameters of p(x | z)."""

    numbers: Tensor
    """(n, N) means of the scaled numbers."""
    labels: Tensor
    """(n, L) logits of the labels."""
    categories: tuple[Tensor, ...]
    """Per categorical column: (n, classes) logits."""
    states: Tensor
    """(n, stateful columns, states) logits; -inf where the column has no such state."""


class ItemVAE(nn.Module):
    """q(z | x) and p(x | z) of an item row x with a standard normal prior on z.

    p(x | z) has a softmax per categorical column, a Bernoulli per label, a softmax over the states of each
    numeric column that has more than one (ordinary, missing, atoms), and a Gaussian per number. An input that
    no training row can have set (an unseen category) is not connected: it moves no embedding.

    Args:
        layout: the codec's columns.
        config: widths, likelihood and objective.

    Raises:
        ValueError: `config.condition` is not a categorical column of the layout, or there is no other column.
    """

    state_mask: Tensor
    """(stateful columns, states) bool: the states that a column can be in."""
    feature_scale: Tensor
    """(input width,): length of each input in the feature space; 0 for state flags and the condition."""
    log_sharpness: nn.Parameter
    """Logarithm of the inverse temperature of the neighbour term (`neighbour_cross_entropy`)."""

    def __init__(self, layout: FeatureLayout, config: ItemVAEConfig) -> None:
        super().__init__()
        names = [name for name, _ in layout.categorical]
        if config.condition is not None and config.condition not in names:
            raise ValueError(f"model.condition: no categorical column '{config.condition}'; found {names}")
        self.layout, self.config = layout, config
        self._condition = names.index(config.condition) if config.condition is not None else None
        self._nullable_categories = [name in layout.nullable for name in names]
        self._class_counts = [
            size - FIRST_CATEGORY_CODE + nullable
            for (_, size), nullable in zip(layout.categorical, self._nullable_categories, strict=True)
        ]
        possible = [
            [state == 0 or (state != MISSING_STATE or name in layout.nullable) for state in range(size)]
            for name, size in layout.numeric
        ]
        self._stateful = [column for column, states in enumerate(possible) if sum(states) > 1]
        state_count = max((len(possible[column]) for column in self._stateful), default=0)
        mask = torch.zeros(len(self._stateful), state_count, dtype=torch.bool)
        for row, column in enumerate(self._stateful):
            mask[row, : len(possible[column])] = torch.tensor(possible[column])
        self.register_buffer("state_mask", mask, persistent=False)

        numbers, labels = len(layout.numeric), layout.label_width
        condition = self._condition_inputs()
        self.input_width = numbers + labels + sum(self._class_counts) + int(mask[:, 1:].sum())
        self._decoded_sizes = [numbers, labels, *self._decoded_classes(), mask.numel()]
        if not sum(self._decoded_sizes):
            raise ValueError(
                f"no number, label or category to decode besides model.condition {config.condition!r}; "
                "name more columns"
            )
        self.register_buffer("feature_scale", self._feature_scale(), persistent=False)
        widths = list(config.hidden)
        self.linear = nn.Linear(self.input_width, config.latent_dim)
        self.encoder = hidden_layers([self.input_width, *widths])
        self.posterior = nn.Linear(widths[-1], 2 * config.latent_dim)
        self.decoder = hidden_layers(
            [config.latent_dim + condition.stop - condition.start, *reversed(widths)]
        )
        self.heads = nn.Linear(widths[0], sum(self._decoded_sizes))
        scales = {"fixed": 0, "shared": 1, "column": numbers}[config.scale]
        self.log_scale = nn.Parameter(torch.zeros(scales)) if scales else None
        self.log_sharpness = nn.Parameter(torch.tensor(2.0))

    def extra_repr(self) -> str:
        """Settings and columns: models with equal `repr` differ in their weights only."""
        return f"{self.config}, {self.layout}"

    def _feature_scale(self) -> Tensor:
        scale = torch.zeros(self.input_width)
        numbers = len(self.layout.numeric)
        categories = numbers + self.layout.label_width + sum(self._class_counts)
        scale[:numbers] = 1
        scale[numbers:categories] = ONE_HOT_SCALE
        scale[self._condition_inputs()] = 0
        return scale

    def _condition_inputs(self) -> slice:
        """Where the inputs hold the one-hot condition; nowhere without one."""
        if self._condition is None:
            return slice(0, 0)
        before = sum(self._class_counts[: self._condition])
        start = len(self.layout.numeric) + self.layout.label_width + before
        return slice(start, start + self._class_counts[self._condition])

    def _decoded_classes(self) -> list[int]:
        return [n for i, n in enumerate(self._class_counts) if i != self._condition]

    def prepare(self, batch: ItemBatch) -> Prepared:
        """Inputs and targets of items (n,), on the batch's device."""
        parts, targets = [batch.numbers, batch.labels], []
        for column, (classes, nullable) in enumerate(
            zip(self._class_counts, self._nullable_categories, strict=True)
        ):
            codes = batch.categories[:, column]
            target = codes - FIRST_CATEGORY_CODE + int(nullable)
            known = codes >= FIRST_CATEGORY_CODE
            if nullable:
                missing = codes == MISSING_CODE
                target, known = target.masked_fill(missing, 0), known | missing
            # F.one_hot counts in int64: ten times the time and several times the memory.
            one_hot = batch.numbers.new_zeros(len(batch), classes)
            one_hot.scatter_(1, target.masked_fill(~known, 0)[:, None], known[:, None].to(one_hot.dtype))
            parts.append(one_hot)
            targets.append(target.masked_fill(~known, IGNORE))
        for row, column in enumerate(self._stateful):
            states = batch.states[:, column]
            possible = self.state_mask[row]
            flags = [states == state for state in range(1, len(possible)) if possible[state]]
            parts.append(torch.stack(flags, 1).to(batch.numbers.dtype))
            targets.append(states.masked_fill(~possible[states], IGNORE))
        weights = (batch.states != MISSING_STATE).to(batch.numbers.dtype)
        empty = batch.categories.new_zeros(len(batch), 0)
        return Prepared(torch.cat(parts, 1), torch.stack(targets, 1) if targets else empty, weights)

    def features(self, prepared: Prepared) -> Tensor:
        """Items (n, input width) in the feature space: numbers; one-hots and labels `ONE_HOT_SCALE` long."""
        return prepared.inputs * self.feature_scale

    @torch.no_grad()
    def initialise(self, prepared: Prepared) -> None:
        """Start the linear part of the posterior mean at the principal components of items (n,).

        All components are divided by one number, so that the mean has variance 1 per unit on average and
        the components keep their proportions (ten times larger at most, where the items hardly vary); the
        hidden layers' part starts at a tenth.
        """
        features = self.features(prepared)
        mean = features.mean(0, dtype=torch.float64)
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
        for block in features.split(BLOCK_ROWS):
            centred = block - mean
            covariance += centred.T @ centred / len(features)
        variances, components = torch.linalg.eigh(covariance)
        width = min(self.config.latent_dim, len(variances))
        scale = variances[-width:].mean().clamp(min=0.01).rsqrt()
        weight = components[:, -width:].T * scale
        self.linear.weight[:width] = (weight * self.feature_scale).float()
        self.linear.bias[:width] = -(weight @ mean).float()
        self.posterior.weight[: self.config.latent_dim] *= 0.1

    def encode(self, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (n, latent_dim); the mean has a linear path beside."""
        project = nn.Module.__call__ if self.training else project_evenly
        mean, log_variance = project(self.posterior, self.encoder(prepared.inputs)).chunk(2, 1)
        return mean + project(self.linear, prepared.inputs), log_variance

    @property
    def condition_column(self) -> int | None:
        """Position of the categorical column that the decoder is given; None: there is none."""
        return self._condition

    @property
    def stateful_columns(self) -> tuple[int, ...]:
        """Positions of the numeric columns with more than one state: those of `Decoded.states`, in order."""
        return tuple(self._stateful)

    def decode(self, latents: Tensor, prepared: Prepared | None = None) -> Decoded:
        """Parameters of p(x | z) for latents (n, latent_dim).

        A conditional model takes the condition from `prepared`, items (n,).
        """
        if self._condition is not None:
            if prepared is None:
                raise ValueError("a conditional model decodes only with the items that give the condition")
            condition = prepared.inputs[:, self._condition_inputs()]
            latents = torch.cat([latents, condition], 1)
        numbers, labels, *classes = self.heads(self.decoder(latents)).split(self._decoded_sizes, 1)
        states = (
            classes.pop().view(len(latents), *self.state_mask.shape).masked_fill(~self.state_mask, -math.inf)
        )
        return Decoded(numbers, labels, tuple(classes), states)

    def negative_log_likelihood(self, decoded: Decoded, prepared: Prepared) -> dict[str, Tensor]:
        """-log p(x | z) in nats per item and group of columns: each (n,), summed over the group's columns."""
        n = len(prepared.inputs)
        first_label = len(self.layout.numeric)
        terms: dict[str, Tensor] = {}
        if first_label:
            error = (prepared.inputs[:, :first_label] - decoded.numbers) ** 2
            if self.log_scale is None:
                nats = 0.5 * error + 0.5 * math.log(2 * math.pi)
            else:
                log_scale = self.log_scale.clamp(min=-4)
                nats = 0.5 * error * torch.exp(-2 * log_scale) + log_scale + 0.5 * math.log(2 * math.pi)
            terms["numbers"] = (nats * prepared.weights).sum(1)
        if self.layout.label_width:
            labels = prepared.inputs[:, first_label : first_label + self.layout.label_width]
            terms["labels"] = F.binary_cross_entropy_with_logits(
                decoded.labels, labels, reduction="none"
            ).sum(1)
        if decoded.categories:
            columns = [c for c in range(len(self._class_counts)) if c != self._condition]
            terms["categories"] = torch.stack(
                [
                    F.cross_entropy(logits, prepared.targets[:, c], reduction="none", ignore_index=IGNORE)
                    for c, logits in zip(columns, decoded.categories, strict=True)
                ]
            ).sum(0)
        if self._stateful:
            targets = prepared.targets[:, len(self._class_counts) :]
            flat = F.cross_entropy(
                decoded.states.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=IGNORE
            )
            terms["states"] = flat.view(n, -1).sum(1)
        return terms

    def most_likely(self, decoded: Decoded, given: ItemBatch | None = None) -> ItemBatch:
        """The likeliest item (n,) of each p(x | z): modes of classes and labels, means of numbers.

        A number whose state is missing is 0. A conditional model has the condition of `given`, items (n,).
        """
        classes = [logits.argmax(1) for logits in decoded.categories]
        # Where no column has states, there is no dimension to take the likeliest of.
        states = (
            decoded.states.argmax(2) if self._stateful else decoded.states.new_zeros(0, dtype=torch.int64)
        )
        return self._items(classes, decoded.labels > 0, decoded.numbers, states, given)

    def draw(
        self,
        decoded: Decoded,
        deviations: Tensor,
        generator: torch.Generator,
        given: ItemBatch | None = None,
    ) -> ItemBatch:
        """An item (n,) drawn from each p(x | z), numbers with deviations (N,); otherwise as `most_likely`."""
        classes = [_draw_classes(logits, generator) for logits in decoded.categories]
        labels = torch.bernoulli(decoded.labels.sigmoid(), generator=generator) > 0
        numbers = torch.addcmul(decoded.numbers, deviations, _noise_like(decoded.numbers, generator))
        states = _draw_classes(decoded.states.flatten(0, 1), generator).view(decoded.states.shape[:2])
        return self._items(classes, labels, numbers, states, given)

    def _items(
        self,
        classes: list[Tensor],
        labels: Tensor,
        numbers: Tensor,
        stateful: Tensor,
        given: ItemBatch | None,
    ) -> ItemBatch:
        columns = []
        decoded = iter(classes)
        for column, nullable in enumerate(self._nullable_categories):
            if column == self._condition:
                if given is None:
                    raise ValueError(
                        "a conditional model decodes only with the items that give the condition"
                    )
                columns.append(given.categories[:, column])
                continue
            codes = next(decoded) + FIRST_CATEGORY_CODE - int(nullable)
            columns.append(codes.masked_fill(codes < FIRST_CATEGORY_CODE, MISSING_CODE))
        states = torch.zeros_like(numbers, dtype=torch.int64)
        if self._stateful:
            states[:, self._stateful] = stateful
        return ItemBatch(
            categories=torch.stack(columns, 1) if columns else states.new_zeros(len(states), 0),
            labels=labels.to(numbers.dtype),
            numbers=numbers.masked_fill(states == MISSING_STATE, 0),
            states=states,
        )

    @torch.no_grad()
    def embed(self, batch: ItemBatch) -> Tensor:
        """Posterior means (n, latent_dim) float32 of items (n,), in evaluation mode: the embeddings."""
        training = self.training
        self.eval()
        try:
            return self.encode(self.prepare(batch))[0]
        finally:
            self.train(training)


def _draw_classes(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One class (n,) of each distribution (n, classes)."""
    if not logits.numel():
        return logits.new_zeros(len(logits), dtype=torch.int64)
    return torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


def _noise_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty_like(tensor).normal_(generator=generator)
