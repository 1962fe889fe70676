"""The density of a flow: log p(x) by the instantaneous change of variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from streamrec.models.flow.solvers import Solver, Velocity

Divergence = Callable[[Velocity, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(velocity, x (n, d), t (n,)) -> the velocity (n, d) and its divergence in x (n,)."""


def log_density(
    velocity: Velocity,
    x: Tensor,
    solver: Solver,
    times: Tensor,
    exact_up_to: int = 64,
    seed: int = 0,
) -> Tensor:
    """Log-density in nats, (n,), of rows x (n, d) under the flow of N(0, I) from times[0] to times[-1].

    log p(x) = log N(z; 0, I) - int div v(x_t, t) dt along the path that ends in x and starts in z (Chen et
    al. 2018, theorem 1; Grathwohl et al. 2019), solved backwards with the integral as one more column.
    Up to `exact_up_to` columns the divergence is exact, at d + 1 passes through the network an evaluation;
    beyond, it is Hutchinson's unbiased estimate with one probe per row, which `seed` decides and the whole
    path keeps (Grathwohl et al. 2019, section 3.1), at two passes: good for the mean over many rows, not for
    ranking them (a row's estimate spread by 6 nats at 45 columns of a news catalogue). `velocity` must treat
    each row by itself (no batch normalisation in training mode). No gradients are returned.

    Args:
        velocity: (x, t (n,)) -> (n, d), differentiable in x.
        x: (n, d), where the flow ends.
        solver: one of `streamrec.models.flow.solvers`.
        times: (m,), the grid of sampling, from noise (0) to data (1).
        exact_up_to: columns up to which the divergence is exact.
        seed: of the probes; rows at the same place of x have the same probe.

    Raises:
        SamplingError: the adaptive solver gave up.
    """
    n, d = x.shape
    divergence: Divergence = exact_divergence
    if d > exact_up_to:
        divergence = partial(hutchinson_divergence, probe=rademacher(x, seed))

    def augmented(state: Tensor, t: Tensor) -> Tensor:
        value, change = divergence(velocity, state[:, :-1], t)
        return torch.cat([value, change[:, None]], 1)

    with torch.no_grad():
        end = solver(augmented, torch.cat([x, x.new_zeros(n, 1)], 1), times.flip(0))
    noise, change = end[:, :-1], end[:, -1]
    return change - 0.5 * (noise.square().sum(1) + d * math.log(2 * math.pi))


def exact_divergence(velocity: Velocity, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The velocity and the trace of its Jacobian, a backward pass per column.

    Faster than forward mode over all columns at once (0.7 s against 2.7 s for 1,000 rows of 50 columns
    through a network of 4 blocks of 256), holds less, and needs nothing of the network but `backward`.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = velocity(x, t)
        trace = x.new_zeros(len(x))
        for column in range(x.shape[1]):
            (gradient,) = torch.autograd.grad(value[:, column].sum(), x, retain_graph=True)
            trace += gradient[:, column]
    return value.detach(), trace


def hutchinson_divergence(velocity: Velocity, x: Tensor, t: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    """The velocity and probe' J probe, for probes (n, d) of mean 0 and covariance I (Hutchinson 1990)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = velocity(x, t)
        (product,) = torch.autograd.grad((value * probe).sum(), x)
    return value.detach(), (product * probe).sum(1)


def rademacher(like: Tensor, seed: int) -> Tensor:
    """Signs -1 and 1 of the shape, type and device of `like`: the probes of least variance."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, like.shape, generator=generator)
    return (2 * signs - 1).to(like)
