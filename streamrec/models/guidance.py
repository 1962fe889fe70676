"""Classifier-free guidance (Ho & Salimans 2022), shared by diffusion and flow matching.

A condition is a row of one or more one-hot blocks. A block of zeros says nothing of its column: it is what
dropout leaves, so one network learns the conditional and the unconditional law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""`network(x, t, condition)`: x (n, d), times t (n,), condition (n, c) or None -> (n, d)."""


def drop_condition(
    condition: Tensor,
    share: float,
    generator: torch.Generator | None = None,
    widths: Sequence[int] | None = None,
) -> Tensor:
    """`condition` with blocks zeroed, each with probability `share` independently of the others.

    Args:
        condition: (n, c).
        share: probability from 0 (nothing is dropped) to 1.
        generator: source of the draws, on the condition's device.
        widths: widths of the blocks, c in total; None: the row is one block.

    Raises:
        ValueError: `share` is no probability, or the widths do not add up to c.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"condition dropout must be a share from 0 to 1, found {share}")
    n, width = condition.shape
    blocks = [width] if widths is None else list(widths)
    if sum(blocks) != width:
        raise ValueError(f"condition blocks {blocks} must add up to its width, found {width}")
    if share == 0:
        return condition
    draws = torch.rand(n, len(blocks), generator=generator, device=condition.device)
    lengths = torch.tensor(blocks, device=condition.device)
    return condition * (draws >= share).to(condition.dtype).repeat_interleave(lengths, dim=1)


def guide(network: Network, weight: float) -> Network:
    """A network whose output is (1 + weight) network(x, t, c) - weight network(x, t, 0) (eq. 6).

    The outputs may be noise, v, a preconditioned prediction, a denoised x0 or a velocity: all are affine in
    the score with the same x term, so the same combination guides each. Weight 0 is the conditional network
    and -1 the unconditional one; both cost one evaluation, any other weight one of twice the rows. Rows whose
    condition is all zeros, and calls without a condition, are not guided.
    """

    def guided(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        if condition is None or weight == 0:
            return network(x, t, condition)
        nothing = torch.zeros_like(condition)
        if weight == -1:
            return network(x, t, nothing)
        both = network(x.repeat(2, 1), t.repeat(2), torch.cat([condition, nothing]))
        conditional, unconditional = both.chunk(2)
        return torch.lerp(unconditional, conditional, 1 + weight)

    return guided
