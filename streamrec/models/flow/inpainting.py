"""Columns of a flow drawn given its other columns, without training for it."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from streamrec.models.flow.path import interpolate
from streamrec.models.flow.solvers import Velocity

LEAST_CURVATURE = 0.02
"""Curvature, in units of the time, below which a direction of the known columns is not followed: what a
trained network says of it is noise."""


def inpaint(
    velocity: Velocity,
    data: Tensor,
    known: Tensor,
    times: Tensor,
    generator: torch.Generator,
    resamplings: int = 3,
    projections: int = 2,
) -> Tensor:
    """Rows (n, d) with the known cells of `data` and the others drawn given them.

    RePaint (Lugmayr et al. 2022) on the straight path x_t = (1 - t) noise + t data: the known cells are kept
    on it, the others follow the velocity by the midpoint method, and every step is taken `resamplings` times,
    from t to s and back by x_t = (t / s) x_s + noise of variance (1 - t)^2 - (t / s)^2 (1 - s)^2, which keeps
    the law of the path. Alone that needs hundreds of resamplings: nothing in the velocity of the unknown
    cells says how far the known ones are from where the flow expects them. So that distance is projected on
    them (`conditional_velocity`): for normal data that is exact, up to the step and the projections.

    Args:
        velocity: (x (n, d), t (n,)) -> (n, d), differentiable in x, of data of about unit variance.
        data: (n, d), finite; what it holds where `known` is False does not matter.
        known: (n, d) bool.
        times: (m,) from 0 to 1, rising.
        generator: source of the noise, on the device of `data`.
        resamplings: times that every step but the first is taken; 1: once.
        projections: steps of conjugate gradients per evaluation, a backward pass each; 0: RePaint as it is.
    """
    known_data = torch.where(known, data, torch.zeros_like(data))
    noise = _noise(data, generator)
    x = noise
    for t, s in itertools.pairwise(times.tolist()):
        for turn in range(1 if t == 0 else resamplings):
            if turn:
                scale = t / s
                spread = math.sqrt(max(0.0, (1 - t) ** 2 - scale**2 * (1 - s) ** 2))
                x = scale * x + spread * _noise(data, generator)
                noise = _noise(data, generator)
            x = _pinned(x, noise, known_data, known, t)
            middle = (t + s) / 2
            halfway = x + (middle - t) * conditional_velocity(velocity, x, t, known_data, known, projections)
            halfway = _pinned(halfway, noise, known_data, known, middle)
            x = x + (s - t) * conditional_velocity(velocity, halfway, middle, known_data, known, projections)
    return torch.where(known, data, x)


def conditional_velocity(
    velocity: Velocity, x: Tensor, t: float, data: Tensor, known: Tensor, projections: int
) -> Tensor:
    """Velocity (n, d) at x (n, d) given what the data are where they are known; only that of the others
    counts.

    The flow's guess of the data is x_hat = x_t + (1 - t) v, and their covariance given x_t is (1 - t)^2 / t
    times the Jacobian J of x_hat in x_t (Tweedie's second-order formula; Boys et al. 2023). For normal data
    the guess of the unknown cells u given the known k moves by J_uk J_kk^-1 (data_k - x_hat_k). The inverse
    is applied by a few steps of conjugate gradients, each a product with J by a backward pass; steps along
    directions in which J is not positive are left out."""
    times = x.new_full((len(x),), t)
    if projections == 0 or t == 0:
        with torch.no_grad():
            return velocity(x, times)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = velocity(x, times)
        guess = x + (1 - t) * value
    asked = known.to(x.dtype)
    residual = (data - guess.detach()) * asked
    direction, left = residual, residual.square().sum(1, keepdim=True)
    shift = torch.zeros_like(residual)
    for step in range(projections):
        (product,) = torch.autograd.grad(guess, x, direction, retain_graph=step < projections - 1)
        curvature = (direction * product).sum(1, keepdim=True)
        length = direction.square().sum(1, keepdim=True)
        sound = (curvature > LEAST_CURVATURE * t * length) & (length > 0)
        size = torch.where(sound, left / torch.where(sound, curvature, 1.0), 0.0)
        shift = shift + size * product
        residual = residual - size * product * asked
        before, left = left, residual.square().sum(1, keepdim=True)
        direction = residual + torch.where(sound, left / before.clamp(min=1e-30), 0.0) * direction
    return value.detach() + shift * (1 - asked) / (1 - t)


def _pinned(x: Tensor, noise: Tensor, data: Tensor, known: Tensor, t: float) -> Tensor:
    """`x` with the known cells on the straight path at t."""
    return torch.where(known, interpolate(noise, data, x.new_full((len(x),), t)), x)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty_like(like).normal_(generator=generator)
