import itertools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from streamrec.catalog.generate import generate
from streamrec.catalog.generate_independent import (
    CATEGORIES,
    NUMBERS,
    independent_log_density,
    independent_parameters,
)
from streamrec.config import GenerateConfig
from streamrec.errors import CatalogError

SEED = 7


@pytest.fixture(scope="module")
def independent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("independent")
    config = GenerateConfig(preset="independent", items=40_000, seed=SEED)
    return generate(config, folder / "catalog.parquet", folder / "truth.npz").table(), folder / "truth.npz"


def floats(table, name):
    return table[name].cast(pa.float64()).to_numpy()


def test_categories_are_uniform(independent):
    counts = np.unique(independent[0]["category"].to_pylist(), return_counts=True)
    assert tuple(counts[0]) == CATEGORIES
    assert stats.chisquare(counts[1]).pvalue > 1e-3


def test_moments_within_each_category_are_the_true_ones(independent):
    table, _ = independent
    parameters = independent_parameters(SEED)
    category = np.array(table["category"].to_pylist())
    mean_z, std_z = [], []
    for (g, name), (j, number) in itertools.product(enumerate(CATEGORIES), enumerate(NUMBERS)):
        values = floats(table, number)[category == name]
        mean, std = parameters.means[g, j], parameters.stds[g, j]
        mean_z.append((values.mean() - mean) / (std / np.sqrt(len(values))))
        std_z.append((values.std(ddof=1) - std) / (std / np.sqrt(2 * len(values))))
    for z in (np.array(mean_z), np.array(std_z)):
        assert abs(z).max() < 4.5
        assert 0.9 < z.std() < 1.1
    assert (parameters.means.min() >= -1, parameters.means.max() < 1) == (True, True)
    assert (parameters.stds.min() >= 0.3, parameters.stds.max() < 1) == (True, True)


def test_numbers_are_uncorrelated_within_a_category(independent):
    table, _ = independent
    rows = table.filter(pc.equal(table["category"], CATEGORIES[3]))
    correlation = np.corrcoef([floats(rows, name) for name in NUMBERS])
    assert abs(correlation - np.eye(30)).max() < 5 / np.sqrt(rows.num_rows)


def test_truth_file_gives_the_log_density_by_its_definition(independent):
    table, truth = independent
    rows = table.slice(0, 500)
    with np.load(truth, allow_pickle=False) as file:
        groups = [list(file["categories"]).index(name) for name in rows["category"].to_pylist()]
        values = np.stack([floats(rows, name) for name in file["numbers"]], axis=1)
        conditional = stats.norm.logpdf(values, file["means"][groups], file["stds"][groups])
        expected = file["log_prior"][groups] + conditional.sum(axis=1)
    np.testing.assert_allclose(independent_log_density(SEED, rows), expected, rtol=1e-12)
    batch = rows.combine_chunks().to_batches()[0]
    np.testing.assert_array_equal(independent_log_density(SEED, batch), independent_log_density(SEED, rows))


def test_mean_log_density_is_minus_the_entropy(independent):
    stds = independent_parameters(SEED).stds
    entropy = np.log(20) + np.log(stds * np.sqrt(2 * np.pi * np.e)).sum(axis=1).mean()
    density = independent_log_density(SEED, independent[0])
    assert abs(density.mean() + entropy) < 4 * density.std() / np.sqrt(len(density))
    assert density.mean() > independent_log_density(SEED + 1, independent[0]).mean() + 5


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((*CATEGORIES, "category_99", None)), st.none() | st.floats(-1e3, 1e3)),
        min_size=1,
        max_size=10,
    )
)
def test_rows_the_generator_cannot_make_have_density_zero(cells):
    table = pa.table(
        {
            "category": pa.array([name for name, _ in cells], pa.string()),
            **{name: pa.array([value for _, value in cells], pa.float64()) for name in NUMBERS},
        }
    )
    possible = [name in CATEGORIES and value is not None for name, value in cells]
    assert list(np.isfinite(independent_log_density(SEED, table))) == possible


def test_log_density_names_a_column_that_is_not_there(independent):
    with pytest.raises(CatalogError, match="no column 'feature_07'"):
        independent_log_density(SEED, independent[0].drop_columns(["feature_07"]))
