"""Columns, sizes and true parameters of the preset `structured`; `generate_structured` has the equations."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

CHANNELS = (
    *("world", "politics", "business", "technology", "science", "health", "sport", "culture"),
    *("music", "film", "travel", "food", "fashion", "education", "environment", "opinion"),
    *("history", "gaming", "motoring", "property", "design", "books", "law", "weather"),
)
FORMATS = ("article", "video", "gallery", "podcast", "live", "quiz")
TAGS = tuple(f"tag_{t:02d}" for t in range(60))
COMMON_COUNTS = ("views", "clicks", "likes", "shares")
COUNTS = (*COMMON_COUNTS, "comments", "saves", "follows", "replies", "downloads", "mentions")
RATES = ("completion_rate", "click_rate", "like_rate", "share_rate", "return_rate")
FRACTIONS = ("text_share", "video_share", "quote_share")
SCORES = tuple(f"score_{j:02d}" for j in range(12))
NUMBERS = COUNTS + RATES + FRACTIONS + SCORES
MISSING = ("saves", "completion_rate", "return_rate", *SCORES[:5])
"""Numbers with missing cells."""
FACTORS = 6
ZIPF_EXPONENT = 1.1
CHANNEL_SHARE = 0.4
"""Share of each factor's variance that the channel explains."""
MISSING_FORMAT_RATE = 0.04


@dataclass(frozen=True)
class StructuredParameters:
    """True parameters of the preset, all float64; the module's text says how each is drawn and used."""

    channel_probability: np.ndarray
    """(24,)"""
    format_probability: np.ndarray
    """(24, 6): given the channel."""
    centres: np.ndarray
    """(24, 6): direction of the factors' mean given the channel."""
    loadings: np.ndarray
    """(30, 6): unit rows."""
    communality: np.ndarray
    """(30,): share of the variance of `y_j` that the factors explain."""
    location: np.ndarray
    """(30,)"""
    scale: np.ndarray
    """(30,)"""
    zero_rate: np.ndarray
    """(10, 6): probability of an exact zero in each count, given the format."""
    missing_rate: np.ndarray
    """(8, 6): probability of a missing cell in each column of `MISSING`, given the format."""
    tag_loadings: np.ndarray
    """(60, 6)"""
    tag_intercept: np.ndarray
    """(60,)"""


def structured_parameters(seed: int) -> StructuredParameters:
    """The parameters of the table that `generate` makes with `preset="structured"` and this seed."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    channel = zipf(len(CHANNELS), ZIPF_EXPONENT)
    formats = len(FORMATS)
    location = np.concatenate(
        [
            np.sort(rng.uniform(3.0, 8.0, len(COUNTS)))[::-1],
            rng.uniform(-2.0, 2.0, len(RATES)),
            rng.uniform(0.2, 0.5, len(FRACTIONS)),
            rng.uniform(-5.0, 5.0, len(SCORES)),
        ]
    )
    scale = np.concatenate(
        [
            rng.uniform(0.8, 1.5, len(COUNTS)),
            rng.uniform(0.5, 1.5, len(RATES)),
            rng.uniform(0.2, 0.4, len(FRACTIONS)),
            rng.uniform(0.5, 3.0, len(SCORES)),
        ]
    )
    zero_rate = rng.uniform(0.0, 0.1, (len(COUNTS), formats))
    rare = rng.random(zero_rate.shape) < 0.25
    rare[: len(COMMON_COUNTS)] = False
    zero_rate[rare] = rng.uniform(0.8, 1.0, rare.sum())
    tag_share = 0.25 * np.arange(1, len(TAGS) + 1) ** -0.7
    slope = 1.5
    return StructuredParameters(
        channel_probability=channel,
        format_probability=rng.dirichlet(4 * zipf(formats, 1.0), size=len(CHANNELS)),
        centres=orthonormal(rng.standard_normal((len(CHANNELS), FACTORS)), channel),
        loadings=_unit_rows(rng, len(NUMBERS)),
        communality=rng.uniform(0.6, 0.9, len(NUMBERS)),
        location=location,
        scale=scale,
        zero_rate=zero_rate,
        missing_rate=rng.uniform(0.02, 0.4, (len(MISSING), formats)),
        tag_loadings=slope * _unit_rows(rng, len(TAGS)),
        tag_intercept=np.array([NormalDist().inv_cdf(p) for p in tag_share]) * np.sqrt(1 + slope**2),
    )


def zipf(size: int, exponent: float) -> np.ndarray:
    """(size,) probabilities in proportion to rank^-exponent, by rising rank."""
    weights = np.arange(1, size + 1) ** -exponent
    return weights / weights.sum()


def _unit_rows(rng: np.random.Generator, rows: int) -> np.ndarray:
    draws = rng.standard_normal((rows, FACTORS))
    return draws / np.sqrt((draws**2).sum(axis=1, keepdims=True))


def orthonormal(draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Gram-Schmidt under the inner product `sum_c weights[c] a[c] b[c]`, orthogonal to the constant too."""
    done = [np.ones(len(draws))]
    for column in draws.T:
        for other in done:
            column = column - (weights * column * other).sum() * other
        done.append(column / np.sqrt((weights * column**2).sum()))
    return np.stack(done[1:], axis=1)
