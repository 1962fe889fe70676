import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy import optimize, stats

from streamrec.catalog.generate import CHUNK_ROWS, generate
from streamrec.catalog.structured_parameters import (
    CHANNELS,
    COUNTS,
    FORMATS,
    FRACTIONS,
    MISSING,
    NUMBERS,
    RATES,
    SCORES,
    TAGS,
    structured_parameters,
)
from streamrec.config import GenerateConfig

SEED = 7


@pytest.fixture(scope="module")
def structured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("structured")
    config = GenerateConfig(preset="structured", items=CHUNK_ROWS, seed=SEED)
    catalog = generate(config, folder / "catalog.parquet", folder / "truth.parquet")
    return catalog.table(), pq.read_table(folder / "truth.parquet")


def floats(table, name):
    return table[name].cast(pa.float64()).to_numpy()


def z_score(count, total, probability):
    return (count - total * probability) / np.sqrt(total * probability * (1 - probability))


def test_channels_follow_zipfs_law(structured):
    counts = pc.value_counts(structured[0]["channel"]).to_pylist()
    count = {item["values"]: item["counts"] for item in counts}
    observed = np.array([count[name] for name in CHANNELS])
    ranks = np.arange(1, len(CHANNELS) + 1)

    def minus_log_likelihood(exponent):
        return exponent * (observed * np.log(ranks)).sum() + observed.sum() * np.log((ranks**-exponent).sum())

    fitted = optimize.minimize_scalar(minus_log_likelihood, bounds=(0.1, 3), method="bounded").x
    assert fitted == pytest.approx(1.1, abs=0.02)
    assert stats.chisquare(observed, observed.sum() * ranks**-1.1 / (ranks**-1.1).sum()).pvalue > 1e-3


def test_format_depends_on_channel_as_its_parameters_say(structured):
    table, truth = structured
    parameters = structured_parameters(SEED)
    joint = np.zeros((len(CHANNELS), len(FORMATS)))
    pairs = zip(table["channel"].to_pylist(), truth["format"].to_pylist(), strict=True)
    for channel, name in pairs:
        joint[CHANNELS.index(channel), FORMATS.index(name)] += 1
    expected = parameters.channel_probability[:, None] * parameters.format_probability * len(table)
    common = expected > 20
    z = z_score(joint, len(table), expected / len(table))[common]
    assert abs(z).max() < 4.5
    assert 0.8 < z.std() < 1.2
    assert stats.chi2_contingency(joint).pvalue < 1e-100
    shown = table["format"]
    assert abs(z_score(shown.null_count, len(shown), 0.04)) < 4
    assert pc.all(pc.equal(shown, truth["format"])).as_py()


def test_factors_have_mean_zero_identity_covariance_and_the_channels_share(structured):
    table, truth = structured
    factors = np.array(truth["factors"].to_pylist())
    bound = 6 / np.sqrt(len(factors))
    assert abs(factors.mean(axis=0)).max() < bound
    assert abs(np.cov(factors.T) - np.eye(6)).max() < bound
    channel = np.array(table["channel"].to_pylist())
    within = sum((channel == c).sum() * factors[channel == c].var(axis=0) for c in CHANNELS) / len(factors)
    np.testing.assert_allclose(within, 0.6, atol=0.02)


def test_numbers_share_low_rank_factors(structured):
    table, _ = structured
    parameters = structured_parameters(SEED)
    names = [name for name in (*RATES, *SCORES) if name not in MISSING]
    rows = [NUMBERS.index(name) for name in names]
    y = np.stack([floats(table, name) for name in names])
    rates = [i for i, name in enumerate(names) if name in RATES]
    y[rates] = np.log(y[rates] / (1 - y[rates]))
    np.testing.assert_allclose(y.mean(axis=1), parameters.location[rows], atol=0.1)
    np.testing.assert_allclose(y.std(axis=1), parameters.scale[rows], rtol=0.03)

    shared = np.sqrt(parameters.communality[rows])[:, None] * parameters.loadings[rows]
    correlation = np.corrcoef(y)
    expected = shared @ shared.T + np.diag(1 - parameters.communality[rows])
    assert abs(correlation - expected).max() < 0.03

    common = correlation - np.diag(1 - parameters.communality[rows])
    eigenvalues = np.linalg.eigvalsh(common)[::-1]
    assert len(names) > 6
    assert abs(eigenvalues[6:]).max() < 0.05
    low_rank_share = eigenvalues[:6].sum() / len(names)
    assert low_rank_share == pytest.approx(parameters.communality[rows].mean(), abs=0.01)


def test_truth_holds_the_numbers_without_their_own_noise(structured):
    table, truth = structured
    parameters = structured_parameters(SEED)
    factors = np.array(truth["factors"].to_pylist())
    assert truth["item_id"] == table["item_id"]
    for j, name in enumerate(NUMBERS):
        share, scale = parameters.communality[j], parameters.scale[j]
        y = parameters.location[j] + scale * np.sqrt(share) * (factors @ parameters.loadings[j])
        if name in COUNTS:
            y = np.exp(y)
        elif name in RATES:
            y = 1 / (1 + np.exp(-y))
        elif name in FRACTIONS:
            y = np.clip(y, 0, 1)
        np.testing.assert_allclose(floats(truth, name), y, rtol=1e-4, atol=1e-5)
    name = SCORES[-1]
    j = NUMBERS.index(name)
    noise = floats(table, name) - floats(truth, name)
    own = parameters.scale[j] * np.sqrt(1 - parameters.communality[j])
    assert noise.std() == pytest.approx(own, rel=0.02)
    assert stats.kstest(noise / own, "norm").pvalue > 1e-3


def test_counts_are_log_normal_integers_with_the_stated_share_of_zeros(structured):
    table, truth = structured
    parameters = structured_parameters(SEED)
    format_ = np.array([FORMATS.index(name) for name in truth["format"].to_pylist()])
    for j, name in enumerate(COUNTS):
        assert table.schema.field(name).type == pa.int64()
        column = table[name]
        present = column.is_valid().to_numpy()
        count = floats(table, name)[present]
        rates = parameters.zero_rate[j][format_[present]]
        z = ((count == 0).sum() - rates.sum()) / np.sqrt((rates * (1 - rates)).sum())
        assert abs(z) < 4.5, name
        assert count.min() == 0
    # The own noise is log-normal: where the count is large its rounding does not matter.
    views, clean = floats(table, "views"), floats(truth, "views")
    own = parameters.scale[0] * np.sqrt(1 - parameters.communality[0])
    noise = np.log(views[views > 0]) - np.log(clean[views > 0])
    assert noise.std() == pytest.approx(own, rel=0.02)
    assert abs(stats.skew(noise)) < 0.05


def test_rates_are_inside_and_fractions_reach_the_ends_of_the_unit_interval(structured):
    table, _ = structured
    for name in RATES:
        low, high = pc.min_max(table[name]).as_py().values()
        assert 0 < low < high < 1
    for name in FRACTIONS:
        values = floats(table, name)
        assert (values.min(), values.max()) == (0.0, 1.0)
        assert 0.02 < (values == 0).mean() < 0.5
        assert ((values > 0) & (values < 1)).mean() > 0.4


def test_missing_shares_are_those_of_the_formats(structured):
    table, truth = structured
    parameters = structured_parameters(SEED)
    format_ = np.array([FORMATS.index(name) for name in truth["format"].to_pylist()])
    for row, name in enumerate(MISSING):
        missing = table[name].is_null().to_numpy()
        for f in range(len(FORMATS)):
            total = (format_ == f).sum()
            assert abs(z_score(missing[format_ == f].sum(), total, parameters.missing_rate[row, f])) < 4.5
    with_gaps = {name for name in table.schema.names if table[name].null_count}
    assert with_gaps == {"format", *MISSING}


def test_tag_shares_given_the_channel_are_the_closed_form(structured):
    table, _ = structured
    parameters = structured_parameters(SEED)
    channel = np.array([CHANNELS.index(name) for name in table["channel"].to_pylist()])
    tags = table["tags"].combine_chunks()
    present = np.zeros((len(table), len(TAGS)), dtype=bool)
    labels = pc.index_in(tags.flatten(), pa.array(TAGS)).to_numpy()
    present[pc.list_parent_indices(tags).to_numpy(), labels] = True
    assert present.sum() == len(labels)
    spread = np.sqrt(1 + 0.6 * (parameters.tag_loadings**2).sum(axis=1))
    z = []
    for c in range(len(CHANNELS)):
        shift = np.sqrt(0.4) * parameters.tag_loadings @ parameters.centres[c]
        share = stats.norm.cdf((parameters.tag_intercept + shift) / spread)
        total = (channel == c).sum()
        common = total * share * (1 - share) > 20
        z.append(z_score(present[channel == c].sum(axis=0), total, share)[common])
    scores = np.concatenate(z)
    assert abs(scores).max() < 4.8
    assert 0.9 < scores.std() < 1.1
    lengths = present.sum(axis=1)
    assert 1 < lengths.mean() < 6
    assert (lengths == 0).any()


def test_publication_times_are_uniform_whole_seconds_of_two_years(structured):
    seconds = structured[0]["published_at"].to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    low, high = (np.datetime64(day, "s").astype(np.int64) for day in ("2023-01-01", "2025-01-01"))
    assert (seconds % 1 == 0).all()
    assert stats.kstest((seconds - low) / (high - low), "uniform").pvalue > 1e-3


def test_titles_say_channel_format_and_number(structured):
    for row in structured[0].select(["item_id", "channel", "format", "title"]).slice(0, 200).to_pylist():
        expected = f"{row['channel'].capitalize()} {row['format'] or 'item'} {row['item_id'][5:]}"
        assert row["title"] == expected
