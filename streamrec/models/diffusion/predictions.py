"""What a diffusion network predicts, and how noise and x_0 are read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from streamrec.models.diffusion.schedule import Marginal


class Prediction(Protocol):
    """A parameterisation of the denoiser; x is x_t = alpha x_0 + sigma noise, `at` its (n, 1) marginal."""

    def inputs(self, x: Tensor, at: Marginal) -> Tensor:
        """What the network is given for x (n, d)."""
        ...

    def target(self, clean: Tensor, noise: Tensor, at: Marginal) -> Tensor:
        """What the network should answer where x_0 is `clean` (n, d)."""
        ...

    def clean(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """x_0 that a network's `output` (n, d) at x tells."""
        ...

    def noise(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """Noise that a network's `output` (n, d) at x tells."""
        ...


@dataclass(frozen=True)
class EpsilonPrediction:
    """The network predicts the noise (Ho et al. 2020, eq. 14)."""

    def inputs(self, x: Tensor, at: Marginal) -> Tensor:
        """x itself."""
        return x

    def target(self, clean: Tensor, noise: Tensor, at: Marginal) -> Tensor:
        """The noise."""
        return noise

    def clean(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """(x - sigma output) / alpha: an error of the network grows with sigma / alpha."""
        return clean_of_noise(output, x, at)

    def noise(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """The output."""
        return output


@dataclass(frozen=True)
class VPrediction:
    """The network predicts v = alpha noise - sigma x_0 (Salimans & Ho 2022, appendix D)."""

    def inputs(self, x: Tensor, at: Marginal) -> Tensor:
        """x itself."""
        return x

    def target(self, clean: Tensor, noise: Tensor, at: Marginal) -> Tensor:
        """v."""
        return at.alpha * noise - at.sigma * clean

    def clean(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """alpha x - sigma v."""
        return at.alpha * x - at.sigma * output

    def noise(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """sigma x + alpha v."""
        return at.sigma * x + at.alpha * output


@dataclass(frozen=True)
class EDMPrediction:
    """The network's part of a preconditioned denoiser (Karras et al. 2022, eq. 7 and table 1).

    Theirs is x_0 + s noise with s = sigma / alpha, which is x / alpha here: c_skip and c_in of table 1 are
    divided by alpha. With `sigma_data` 1 it is v-prediction with the sign turned.

    Args:
        sigma_data: standard deviation of the data, over all rows and columns.

    Raises:
        ValueError: `sigma_data` is not positive.
    """

    sigma_data: float = 1.0

    def __post_init__(self) -> None:
        if not self.sigma_data > 0:
            raise ValueError(f"sigma_data must be positive, found {self.sigma_data}")

    def inputs(self, x: Tensor, at: Marginal) -> Tensor:
        """x scaled to unit variance."""
        return x / self._deviation(at)

    def target(self, clean: Tensor, noise: Tensor, at: Marginal) -> Tensor:
        """Of unit variance at every time, where the data's is `sigma_data`^2."""
        own = at.sigma / self.sigma_data * clean - self.sigma_data * at.alpha * noise
        return own / self._deviation(at)

    def clean(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """c_skip x / alpha + c_out output."""
        deviation = self._deviation(at)
        skip = at.alpha * (self.sigma_data / deviation) ** 2
        return skip * x + at.sigma * self.sigma_data / deviation * output

    def noise(self, output: Tensor, x: Tensor, at: Marginal) -> Tensor:
        """(x - alpha x_0) / sigma, without the difference."""
        deviation = self._deviation(at)
        return at.sigma / deviation**2 * x - at.alpha * self.sigma_data / deviation * output

    def _deviation(self, at: Marginal) -> Tensor:
        """Standard deviation of x."""
        return (at.sigma**2 + (at.alpha * self.sigma_data) ** 2).sqrt()


def clean_of_noise(noise: Tensor, x: Tensor, at: Marginal) -> Tensor:
    """x_0 = (x - sigma noise) / alpha."""
    return (x - at.sigma * noise) / at.alpha


def noise_of_clean(clean: Tensor, x: Tensor, at: Marginal) -> Tensor:
    """noise = (x - alpha x_0) / sigma; not defined at time 0."""
    return (x - at.alpha * clean) / at.sigma
