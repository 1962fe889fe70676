"""The preset `structured`: shaped like a real catalogue, drawn from factors that are known.

Sizes: 24 channels, 6 formats, 60 tags, K = 6 latent factors, 30 numbers. `N` is the normal, `U` the
uniform distribution, `Phi` the standard normal distribution function. Drawn once per seed by
`structured_parameters`, whose fields are named here:

    channel_probability[c] ∝ rank(c)^-1.1 (Zipf), ranks in the order of `CHANNELS`
    format_probability[c, :] ~ Dirichlet(4 * q), q[f] ∝ rank(f)^-1: the format depends on the channel
    centres[c, :]            normal draws, orthonormalised so that under channel_probability they have
                             mean 0 and covariance the identity
    loadings[j, :]           uniform on the unit sphere of R^K;  communality[j] ~ U(0.6, 0.9)
    location[j], scale[j]    counts U(3, 8) in falling order, U(0.8, 1.5);   rates U(-2, 2), U(0.5, 1.5);
                             fractions U(0.2, 0.5), U(0.2, 0.4);   scores U(-5, 5), U(0.5, 3)
    zero_rate[j, f]          counts: U(0, 0.1), but for all except `COMMON_COUNTS` with probability 1/4
                             U(0.8, 1): hardly a thing of this format
    missing_rate[j, f]       columns of `MISSING`: U(0.02, 0.4)
    tag_loadings[t, :]       1.5 times a uniform draw from the unit sphere of R^K
    tag_intercept[t]         Phi^-1(0.25 * rank(t)^-0.7) * sqrt(1 + 1.5^2)

Every item, independently of the others, given those:

    channel       c ~ channel_probability
    format        f ~ format_probability[c]; the cell is then missing with probability 0.04
    factors       z = sqrt(0.4) * centres[c] + sqrt(0.6) * N(0, I): mean 0, covariance I, not published
    tags          each t with z . tag_loadings[t] + tag_intercept[t] + N(0, 1) > 0; may be empty
    signal        s_j = sqrt(communality[j]) * z . loadings[j]
    y_j           = location[j] + scale[j] * (s_j + sqrt(1 - communality[j]) * N(0, 1))
    counts        0 with probability zero_rate[j, f], else 1 + floor(exp(y_j)): log-normal integers
    rates         1 / (1 + exp(-y_j)): within (0, 1)
    fractions     y_j cut to [0, 1]: exact zeros, some exact ones
    scores        y_j
    MISSING       the cell is missing with probability missing_rate[j, f] (f is known here, also where
                  the format's own cell is missing)
    published_at  uniform over the seconds of 2023 and 2024; depends on nothing, nothing depends on it
    title         "<Channel> <format> <number>" for people ("item" where the format is missing)

The truth has, row for row, `item_id`, `factors` (fixed-size list of 6 float32: z; items are relevant to
each other when these are close), `format` (never missing), and each number without its own noise,
float32: `location + scale * s_j` through the same transform, without zeros, rounding and missing cells.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.catalog.generate_independent import item_ids
from streamrec.catalog.structured_parameters import (
    CHANNEL_SHARE,
    CHANNELS,
    COUNTS,
    FACTORS,
    FORMATS,
    FRACTIONS,
    MISSING,
    MISSING_FORMAT_RATE,
    NUMBERS,
    RATES,
    TAGS,
    StructuredParameters,
)
from streamrec.schema import FeatureSchema, MultiLabelColumn

SCHEMA = FeatureSchema(
    item_id="item_id",
    categorical=("channel", "format"),
    multi_label=(MultiLabelColumn(name="tags"),),
    numeric=NUMBERS,
    timestamp="published_at",
    display=("title",),
)
ARROW_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("channel", pa.string()),
        ("format", pa.string()),
        ("tags", pa.list_(pa.string())),
        *((name, pa.int64() if name in COUNTS else pa.float64()) for name in NUMBERS),
        ("published_at", pa.timestamp("us")),
        ("title", pa.string()),
    ]
)
TRUTH_ARROW_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("factors", pa.list_(pa.float32(), FACTORS)),
        ("format", pa.string()),
        *((name, pa.float32()) for name in NUMBERS),
    ]
)
_FIRST_SECOND, _END_SECOND = np.array(["2023-01-01", "2025-01-01"], "datetime64[s]").astype(np.int64)


def draw(
    parameters: StructuredParameters, rng: np.random.Generator, start: int, rows: int
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Items `start` to `start + rows` (columns of `ARROW_SCHEMA`) and their truth (`TRUTH_ARROW_SCHEMA`)."""
    channel = np.searchsorted(np.cumsum(parameters.channel_probability)[:-1], rng.random(rows), side="right")
    edges = np.cumsum(parameters.format_probability, axis=1)[:, :-1]
    format_ = (rng.random((rows, 1)) >= edges[channel]).sum(axis=1)
    factors = np.sqrt(1 - CHANNEL_SHARE) * rng.standard_normal((rows, FACTORS))
    factors += np.sqrt(CHANNEL_SHARE) * parameters.centres[channel]

    ids = item_ids(start, rows)
    channel_names = pa.array(CHANNELS).take(pa.array(channel))
    format_names = pa.array(FORMATS).take(pa.array(format_))
    shown_format = pc.if_else(pa.array(rng.random(rows) >= MISSING_FORMAT_RATE), format_names, None)
    seconds = rng.integers(_FIRST_SECOND, _END_SECOND, size=rows)
    titles = pc.binary_join_element_wise(
        pc.utf8_capitalize(channel_names),
        pc.fill_null(shown_format, "item"),
        pc.utf8_slice_codeunits(ids, 5),
        " ",
    )
    tags = _draw_tags(parameters, rng, factors)

    numbers, clean_numbers = [], []
    for j, name in enumerate(NUMBERS):
        share = parameters.communality[j]
        signal = np.sqrt(share) * _project(factors, parameters.loadings[j])
        noise = np.sqrt(1 - share) * rng.standard_normal(rows)
        location, scale = parameters.location[j], parameters.scale[j]
        values = _transform(name, location + scale * (signal + noise))
        if name in COUNTS:
            values = np.where(rng.random(rows) < parameters.zero_rate[j][format_], 0, 1 + np.floor(values))
        mask = None
        if name in MISSING:
            mask = rng.random(rows) < parameters.missing_rate[MISSING.index(name)][format_]
        numbers.append(pa.array(values.astype(np.int64) if name in COUNTS else values, mask=mask))
        clean_numbers.append(pa.array(_transform(name, location + scale * signal).astype(np.float32)))

    published = pa.array(seconds.astype("datetime64[s]").astype("datetime64[us]"))
    batch = [ids, channel_names, shown_format, tags, *numbers, published, titles]
    listed = pa.FixedSizeListArray.from_arrays(pa.array(factors.astype(np.float32).ravel()), FACTORS)
    return (
        pa.record_batch(batch, schema=ARROW_SCHEMA),
        pa.record_batch([ids, listed, format_names, *clean_numbers], schema=TRUTH_ARROW_SCHEMA),
    )


def _draw_tags(
    parameters: StructuredParameters, rng: np.random.Generator, factors: np.ndarray
) -> pa.ListArray:
    present = np.empty((len(factors), len(TAGS)), dtype=bool)
    for t, (loading, intercept) in enumerate(
        zip(parameters.tag_loadings, parameters.tag_intercept, strict=True)
    ):
        present[:, t] = _project(factors, loading) + rng.standard_normal(len(factors)) > -intercept
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    labels = pa.array(TAGS).take(pa.array(np.nonzero(present)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), labels)


def _project(factors: np.ndarray, loading: np.ndarray) -> np.ndarray:
    # Not a matrix product: BLAS rounds differently with another number of threads.
    total = factors[:, 0] * loading[0]
    for k in range(1, FACTORS):
        total += factors[:, k] * loading[k]
    return total


def _transform(name: str, y: np.ndarray) -> np.ndarray:
    if name in COUNTS:
        return np.exp(y)
    if name in RATES:
        return 1 / (1 + np.exp(-y))
    return np.clip(y, 0, 1) if name in FRACTIONS else y
