"""`Towers`: users and items as vectors whose inner product ranks items for users."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streamrec.errors import BundleError
from streamrec.models.settings import TwoTowerConfig
from streamrec.models.two_tower import TwoTower
from streamrec.recommenders.content_map import ContentMap
from streamrec.recommenders.linear import LinearFactors
from streamrec.recommenders.scaling import Scaling
from streamrec.training.device import one_thread

FORMAT = 2
BLOCK_ROWS = 4_096
"""Items or users per forward pass."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mixture:
    """What each part of a score counts for; chosen on validation."""

    learned: float = 1.0
    """The towers' own: what a user takes beyond what is popular."""
    linear: float = 0.0
    """The closed-form linear model."""
    popularity: float = 1.0
    """The item's log popularity now."""


@dataclass(frozen=True)
class ItemParts:
    """Parts of item vectors."""

    learned: Floats
    """(n, d)."""
    linear: Floats
    """(n, r)."""
    popularity: Floats
    """(n,) log popularity: counted where there are counts, else what content leads to expect."""


@dataclass(frozen=True)
class Towers:
    """A trained two-tower model with everything that makes vectors of it.

    A vector has three parts: the learned one, the factors of the closed-form linear model (as the wide part
    of Cheng et al., "Wide & deep learning", 2016), and one number that is the item's log popularity, 1 for
    every user. An item that was not trained on has the learned part by its content alone, and the factors
    and the popularity that its content leads to expect.
    """

    model: TwoTower
    vocabulary: tuple[Any, ...]
    """Ids of the items trained on; the embedding of `vocabulary[i]` is row i + 1."""
    scaling: Scaling
    popularity: Floats
    """(V,) log popularity of those items."""
    expected: ContentMap
    """From scaled content to log popularity."""
    linear: LinearFactors | None
    """Factors of those items (V, r), where there are few enough of them."""
    mixture: Mixture = Mixture()

    @property
    def dimension(self) -> int:
        """Width k of a vector."""
        return self.model.config.dimension + self._rank + 1

    @property
    def _rank(self) -> int:
        return 0 if self.linear is None else self.linear.item.shape[1]

    def mixed(self, mixture: Mixture) -> Towers:
        """The same towers with another mixture."""
        return replace(self, mixture=mixture)

    @cached_property
    def _row_of(self) -> dict[Any, int]:
        return {value: row for row, value in enumerate(self.vocabulary, 1)}

    def rows(self, ids: Sequence[Any]) -> NDArray[np.int64]:
        """(n,) rows of the id embedding, 0 where an item was not trained on."""
        return np.array([self._row_of.get(value, 0) for value in ids], np.int64)

    def item_vectors(self, latents: Floats, features: Floats, ids: Sequence[Any]) -> Floats:
        """Vectors (n, k) of items.

        Args:
            latents: (n, d) posterior means of the `ItemVAE` that the towers were trained on.
            features: (n, F) encoded features of the same codec.
            ids: (n,) their ids.

        Raises:
            BundleError: content of another width.
        """
        found, mixture = self.item_parts(latents, features, ids), self.mixture
        parts = [
            mixture.learned * found.learned,
            mixture.linear * found.linear,
            mixture.popularity * found.popularity[:, None],
        ]
        return np.ascontiguousarray(np.concatenate(parts, 1), dtype=np.float32)

    def item_parts(self, latents: Floats, features: Floats, ids: Sequence[Any]) -> ItemParts:
        """The parts of the vectors (n, k) of items before they are mixed; see `item_vectors`."""
        rows = self.rows(ids)
        content = self._content(latents, features)
        learned = np.empty((len(rows), self.model.config.dimension), np.float32)
        with torch.inference_mode(), one_thread(torch.device("cpu")):
            for start in range(0, len(rows), BLOCK_ROWS):
                at = slice(start, start + BLOCK_ROWS)
                block, known = torch.from_numpy(content[at]), torch.from_numpy(rows[at])
                learned[at] = (self.model.sharpness * self.model.item(known, block)).numpy()
        new = rows == 0
        linear, popularity = self._linear("item", rows), np.empty(len(rows), np.float32)
        popularity[~new] = self.popularity[rows[~new] - 1]
        popularity[new] = self.expected(content[new])[:, 0]
        if self.linear is not None:
            linear[new] = self.linear.new(content[new])
        return ItemParts(learned, linear, popularity)

    def user_vectors(
        self,
        histories: Sequence[NDArray[np.int64]],
        latents: Floats,
        features: Floats,
        ids: Sequence[Any],
        user_features: Floats | None = None,
    ) -> Floats:
        """Vectors (u, k) of users; a user without history is valid.

        Args:
            histories: rows of the item arrays that each user has, none twice.
            latents, features, ids: of items, as for `item_vectors`.
            user_features: (u, G), where the towers were trained with any.

        Raises:
            BundleError: content or users' features of another width.
        """
        if user_features is not None and user_features.shape[1] != self.model.user_features:
            raise BundleError(
                f"users: found {user_features.shape[1]} features, the towers read "
                f"{self.model.user_features}; encode them with the codec that the towers were trained with"
            )
        used, flat = np.unique(np.concatenate([*histories, np.empty(0, np.int64)]), return_inverse=True)
        used = used.astype(np.int64)
        rows = self.rows([ids[position] for position in used])
        content = self._content(latents[used], features[used])
        counts = np.array([len(history) for history in histories], np.int64)
        with torch.inference_mode(), one_thread(torch.device("cpu")):
            items = self.model.history(torch.from_numpy(rows), torch.from_numpy(content)).numpy()
            total = _sums(items, flat, counts)
            known = None if user_features is None else torch.from_numpy(user_features)
            learned = self.model.user(torch.from_numpy(total), torch.from_numpy(counts), known).numpy()
        linear = _sums(self._linear("history", rows), flat, counts)
        parts = [learned, linear, np.ones((len(counts), 1), np.float32)]
        return np.ascontiguousarray(np.concatenate(parts, 1), dtype=np.float32)

    def _content(self, latents: Floats, features: Floats) -> Floats:
        width = len(self.scaling.mean)
        if latents.shape[1] + features.shape[1] != width:
            raise BundleError(
                f"items: found {latents.shape[1]} latents and {features.shape[1]} features, the towers read "
                f"{width} in all; use the item encoder that the towers were trained with"
            )
        return self.scaling(latents, features)

    def _linear(self, side: str, rows: NDArray[np.int64]) -> Floats:
        if self.linear is None:
            return np.zeros((len(rows), 0), np.float32)
        factors: Floats = getattr(self.linear, side)
        return np.concatenate([np.zeros((1, factors.shape[1]), np.float32), factors])[rows]

    def save(self, folder: str | Path) -> None:
        """Write `towers.json` and `weights.safetensors`; equal towers give equal bytes."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {"popularity": self.popularity}
        parts: dict[str, Any] = {"scaling": self.scaling, "expected": self.expected}
        if self.linear is not None:
            arrays |= {"history": self.linear.history, "item": self.linear.item}
            parts["new"] = self.linear.new
        arrays |= {f"{part}.{name}": array for part, of in parts.items() for name, array in vars(of).items()}
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"towers.{name}": torch.from_numpy(array.copy()) for name, array in arrays.items()}
        save_file(tensors, folder / "weights.safetensors")
        description = {
            "format": FORMAT,
            "family": "two_tower",
            "config": asdict(self.model.config),
            "content": self.model.content,
            "user_features": self.model.user_features,
            "mixture": asdict(self.mixture),
            "items": list(self.vocabulary),
        }
        (folder / "towers.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Towers:
        """Inverse of `save`: on the CPU, in evaluation mode.

        Raises:
            BundleError: a file is absent, broken, of another format, or the weights are of another model.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = Path(folder)
        try:
            found = json.loads((folder / "towers.json").read_text(encoding="utf-8"))
            if (found["format"], found["family"]) != (FORMAT, "two_tower"):
                raise BundleError(
                    f"{folder / 'towers.json'}: found format {found['format']!r} of {found['family']!r}, "
                    f"expected {FORMAT} of 'two_tower'"
                )
            tensors = load_file(folder / "weights.safetensors")
            model = TwoTower(
                len(found["items"]),
                found["content"],
                found["user_features"],
                TwoTowerConfig(**found["config"]),
            )
            model.load_state_dict(
                {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}
            )
            arrays = {name[7:]: t.numpy() for name, t in tensors.items() if name.startswith("towers.")}
            linear = None
            if "item" in arrays:
                new = ContentMap(**_part(arrays, "new"))
                linear = LinearFactors(arrays["history"], arrays["item"], new)
            return cls(
                model.eval(),
                tuple(found["items"]),
                Scaling(**_part(arrays, "scaling")),
                arrays["popularity"],
                ContentMap(**_part(arrays, "expected")),
                linear,
                Mixture(**found["mixture"]),
            )
        except OSError as error:
            raise BundleError(f"{folder}: cannot read the towers: {error}") from error
        except (ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"{folder}: towers.json or weights.safetensors is broken ({reason})") from error


def _part(arrays: dict[str, NDArray[Any]], part: str) -> dict[str, NDArray[Any]]:
    """Arrays of one part, by their own names."""
    start = f"{part}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _sums(rows: Floats, flat: NDArray[np.int64], counts: NDArray[np.int64]) -> Floats:
    """(u, w) sums of rows (n, w): `flat` names the rows of all users, one user after another."""
    total = np.zeros((len(counts), rows.shape[1]), np.float32)
    filled = np.flatnonzero(counts)
    if len(filled):
        starts = (np.cumsum(counts) - counts)[filled]
        block = max(1, 64_000_000 // max(rows.shape[1], 1) // max(int(counts.max()), 1))
        for start in range(0, len(filled), block):
            at, begin = filled[start : start + block], starts[start]
            end = starts[start + len(at) - 1] + counts[at[-1]]
            total[at] = np.add.reduceat(
                rows[flat[begin:end]], starts[start : start + len(at)] - begin, axis=0
            )
    return total
