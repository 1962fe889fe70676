"""`TwoTower`: items and users as vectors whose inner product says what a user takes next.

An item's vector comes from its content, plus an embedding of its id where it has been trained with one. A
user's comes from the items of the history, by id or else by content, plus the user's features: nobody has an
embedding of their own, so a user never seen is served as well as any other with that history. Both vectors
have unit length; their product is divided by a learned temperature.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from streamrec.models.settings import TwoTowerConfig


class TwoTower(nn.Module):
    """Item and user tower (Covington et al. 2016; Yi et al. 2019).

    Args:
        items: items that have an id embedding; ids run from 1, 0 is an item without one.
        content: width of an item's content.
        user_features: width of a user's features; 0: there are none.
        config: settings.
    """

    def __init__(self, items: int, content: int, user_features: int, config: TwoTowerConfig) -> None:
        super().__init__()
        self.items, self.content, self.user_features = items, content, user_features
        self.config = config
        d, hidden = config.dimension, config.hidden
        self.item_ids = nn.Embedding(items + 1, d, padding_idx=0)
        self.history_ids = nn.Embedding(items + 1, d, padding_idx=0)
        for table in (self.item_ids, self.history_ids):
            nn.init.normal_(table.weight, std=0.05)
            with torch.no_grad():
                table.weight[0] = 0
        self.item_content = nn.Sequential(nn.Linear(content, hidden), nn.GELU(), nn.Linear(hidden, d))
        self.history_content = nn.Linear(content, d, bias=False)
        self.profile = nn.Linear(user_features, d, bias=False) if user_features else None
        self.start = nn.Parameter(torch.randn(d) * 0.05)
        self.log_sharpness = nn.Parameter(torch.tensor(-math.log(config.temperature)))

    def extra_repr(self) -> str:
        """Sizes and settings, by which a checkpoint is recognised."""
        return f"{self.items}, {self.content}, {self.user_features}, {self.config}"

    def item(self, ids: Tensor, content: Tensor) -> Tensor:
        """Vectors (n, d) of unit length of items with ids (n,) and content (n, F)."""
        return normalize(self.item_ids(ids) + self.item_content(content), dim=-1)

    def history(self, ids: Tensor, content: Tensor) -> Tensor:
        """What items (n,) add to the user who consumed them (n, d): by id, or without one by content."""
        return torch.where((ids > 0).unsqueeze(-1), self.history_ids(ids), self.history_content(content))

    def user(self, total: Tensor, counts: Tensor, features: Tensor | None = None) -> Tensor:
        """Vectors (n, d) of unit length of users.

        Args:
            total: (n, d) sums of `history` over each user's items.
            counts: (n,) how many they are.
            features: (n, G) the users' features; zeros where nothing is known.
        """
        vector = total / counts.clamp(min=1).sqrt().unsqueeze(-1) + self.start
        if self.profile is not None and features is not None:
            vector = vector + self.profile(features)
        return normalize(vector, dim=-1)

    @property
    def sharpness(self) -> Tensor:
        """Scalar that inner products are multiplied by: one over the temperature."""
        return self.log_sharpness.exp()
