"""Solvers of dx/dt = velocity(x, t), pure functions with one signature.

`solver(velocity, x, times)` starts at `x`, (n, d), at the time `times[0]` and returns its place at the time
`times[-1]`, (n, d); `times`, (m,), may fall: from noise to data is 0 to 1, back is 1 to 0. Each solver calls
`velocity(x, t)` with t of shape (n,). Gradients are the caller's: sample under `torch.no_grad()`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from streamrec.errors import SamplingError

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x (n, d), t (n,)) -> (n, d)."""
Solver = Callable[[Velocity, Tensor, Tensor], Tensor]
"""(velocity, x (n, d), times (m,)) -> (n, d)."""

MAX_STEPS = 1_000
"""Steps after which dopri5 gives up; a trained flow takes 10 to 100."""


def uniform_grid(steps: int) -> Tensor:
    """Grid from 0 to 1 in `steps` equal steps, (steps + 1,) float64."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


def euler(velocity: Velocity, x: Tensor, times: Tensor) -> Tensor:
    """Order 1, one evaluation a step."""
    for t, step in _steps(times):
        x = x + step * velocity(x, _rows(x, t))
    return x


def midpoint(velocity: Velocity, x: Tensor, times: Tensor) -> Tensor:
    """Order 2, two evaluations a step."""
    for t, step in _steps(times):
        middle = x + step / 2 * velocity(x, _rows(x, t))
        x = x + step * velocity(middle, _rows(x, t + step / 2))
    return x


def heun(velocity: Velocity, x: Tensor, times: Tensor) -> Tensor:
    """Order 2 by the trapezoidal rule, two evaluations a step; evaluates at the last time too."""
    for t, step in _steps(times):
        first = velocity(x, _rows(x, t))
        second = velocity(x + step * first, _rows(x, t + step))
        x = x + step / 2 * (first + second)
    return x


def rk4(velocity: Velocity, x: Tensor, times: Tensor) -> Tensor:
    """The classical Runge-Kutta method: order 4, four evaluations a step."""
    for t, step in _steps(times):
        middle = _rows(x, t + step / 2)
        first = velocity(x, _rows(x, t))
        second = velocity(x + step / 2 * first, middle)
        third = velocity(x + step / 2 * second, middle)
        fourth = velocity(x + step * third, _rows(x, t + step))
        x = x + step / 6 * (first + 2 * second + 2 * third + fourth)
    return x


def dopri5(velocity: Velocity, x: Tensor, times: Tensor, *, rtol: float = 1e-5, atol: float = 1e-5) -> Tensor:
    """Dormand & Prince 5(4) with adaptive steps, by torchdiffeq (Chen 2018); of `times` only the ends count.

    The steps are those that the worst row needs: its estimated error, as root mean square over the columns,
    stays below atol + rtol |x| in every step.

    Raises:
        SamplingError: the velocity is not finite, or changes too fast for `MAX_STEPS` steps.
    """
    # torchdiffeq imports SciPy and NumPy, which the other solvers do without.
    from torchdiffeq import odeint

    if not len(x):
        return x
    options = {"norm": _worst_row, "max_num_steps": MAX_STEPS}
    ends = times[[0, -1]].to(x.device)
    try:
        path = odeint(
            lambda t, state: velocity(state, t.expand(len(state))),
            *(x, ends),
            rtol=rtol,
            atol=atol,
            method="dopri5",
            options=options,
        )
    except AssertionError as error:
        reason = str(error).partition(":")[0]
        raise SamplingError(
            f"dopri5 gave up between t = {float(times[0]):g} and {float(times[-1]):g} ({reason}); expected a "
            f"finite, smooth velocity: train the model longer, or use a solver of fixed steps such as rk4"
        ) from error
    return path[-1]


SOLVERS: dict[str, Solver] = {
    "euler": euler,
    "midpoint": midpoint,
    "heun": heun,
    "rk4": rk4,
    "dopri5": dopri5,
}
"""Every solver by its name."""


class Counted:
    """A velocity that counts its evaluations (nfe), each of all rows at once."""

    def __init__(self, velocity: Velocity) -> None:
        self._velocity = velocity
        self.evaluations = 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The velocity, counted."""
        self.evaluations += 1
        return self._velocity(x, t)


def _steps(times: Tensor) -> Iterator[tuple[float, float]]:
    """(time, step to the next) along the grid."""
    for t, following in itertools.pairwise(times.tolist()):
        yield t, following - t


def _rows(x: Tensor, t: float) -> Tensor:
    return x.new_full((len(x),), t)


def _worst_row(error: Tensor) -> Tensor:
    return error.square().mean(1).sqrt().max()
