import hashlib
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from streamrec.catalog.generate import CHUNK_ROWS, generate, preset_schema
from streamrec.catalog.generate_independent import independent_parameters
from streamrec.catalog.structured_parameters import structured_parameters
from streamrec.config import GenerateConfig
from streamrec.errors import CatalogError, ConfigError

PRESETS = ("independent", "structured")


@pytest.mark.parametrize("preset", PRESETS)
def test_file_has_the_schemas_columns_in_canonical_types(preset, tmp_path):
    catalog = generate(GenerateConfig(preset=preset, items=100), tmp_path / "catalog.parquet")
    schema = preset_schema(preset)
    arrow = pq.read_schema(catalog.path)
    assert catalog.schema == schema
    assert arrow.names == list(schema.columns)
    allowed = {
        schema.item_id: {pa.string()},
        **{name: {pa.string()} for name in (*schema.categorical, *schema.display)},
        **{name: {pa.list_(pa.string())} for name in schema.multi_label_names},
        **{name: {pa.int64(), pa.float64()} for name in schema.numeric},
        schema.timestamp: {pa.timestamp("us")},
    }
    for field in arrow:
        kind = field.type
        assert (pa.list_(kind.value_type) if pa.types.is_list(kind) else kind) in allowed[field.name]
    assert len(schema.numeric) == 30


@pytest.mark.parametrize("preset", PRESETS)
def test_same_seed_gives_the_same_bytes_in_another_process_with_other_threads(preset, tmp_path):
    code = (
        "import sys; from pathlib import Path; from streamrec.catalog.generate import generate;"
        "from streamrec.config import GenerateConfig;"
        "generate(GenerateConfig(preset=sys.argv[1], items=70_000), sys.argv[2], sys.argv[3])"
    )
    digests = set()
    for threads in ("1", "2"):
        paths = [tmp_path / f"{name}{threads}" for name in ("catalog", "truth")]
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        subprocess.run([sys.executable, "-c", code, preset, *map(str, paths)], check=True, env=environment)
        digests.add(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths))
    assert len(digests) == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_another_seed_gives_other_values_and_other_parameters(preset, tmp_path):
    one, two = (
        generate(GenerateConfig(preset=preset, items=2_000, seed=seed), tmp_path / str(seed))
        for seed in (1, 2)
    )
    for name in one.schema.columns[1:]:
        assert one.table([name]) != two.table([name])
    parameters = independent_parameters if preset == "independent" else structured_parameters
    moved = [
        not np.array_equal(a, b) for a, b in zip(*(vars(parameters(s)).values() for s in (1, 2)), strict=True)
    ]
    assert sum(moved) >= 2


@pytest.mark.parametrize("preset", PRESETS)
def test_a_shorter_table_is_a_prefix_of_a_longer_one(preset, tmp_path):
    catalogs = [
        generate(GenerateConfig(preset=preset, items=items), tmp_path / str(items))
        for items in (300, CHUNK_ROWS + 50, CHUNK_ROWS + 1_000)
    ]
    longest = catalogs[-1].table()
    assert [catalog.num_rows for catalog in catalogs] == [300, CHUNK_ROWS + 50, CHUNK_ROWS + 1_000]
    for catalog in catalogs[:-1]:
        assert catalog.table().equals(longest.slice(0, catalog.num_rows))


@pytest.mark.parametrize("preset", PRESETS)
def test_chunks_are_independent_draws_with_unique_ids(preset, tmp_path):
    catalog = generate(GenerateConfig(preset=preset, items=2 * CHUNK_ROWS), tmp_path / "catalog.parquet")
    table = catalog.table()
    assert table["item_id"].to_pylist() == [f"item_{i:07d}" for i in range(2 * CHUNK_ROWS)]
    number = table[catalog.schema.numeric[-1]].to_numpy()
    first, second = number[:CHUNK_ROWS], number[CHUNK_ROWS:]
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(CHUNK_ROWS)
    assert stats.ks_2samp(first, second).pvalue > 1e-3


def test_truth_is_row_for_row_beside_a_table_that_ends_inside_a_chunk(tmp_path):
    config = GenerateConfig(preset="structured", items=CHUNK_ROWS + 50)
    catalog = generate(config, tmp_path / "catalog.parquet", tmp_path / "truth.parquet")
    truth = pq.read_table(tmp_path / "truth.parquet", columns=["item_id"])
    assert truth.num_rows == config.items
    assert truth.equals(catalog.table(["item_id"]))


def test_progress_counts_rows_up_to_all(tmp_path):
    seen = []
    config = GenerateConfig(items=2 * CHUNK_ROWS + 10)
    generate(config, tmp_path / "catalog.parquet", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, config.items) for n in (CHUNK_ROWS, 2 * CHUNK_ROWS, config.items)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc/self/status")
@pytest.mark.parametrize("preset", PRESETS)
def test_memory_does_not_grow_with_the_number_of_items(preset, tmp_path):
    code = (
        "import sys; from streamrec.catalog.generate import *\n"
        "generate(GenerateConfig(preset=sys.argv[1], items=int(sys.argv[2])), sys.argv[3], sys.argv[4])\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    peak = {}
    for chunks in (2, 8):
        arguments = [preset, str(chunks * CHUNK_ROWS), str(tmp_path / "catalog"), str(tmp_path / "truth")]
        done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
        peak[chunks] = 1024 * int(done.stdout)
    six_chunks = 6 * CHUNK_ROWS * 30 * 8
    assert peak[8] - peak[2] < six_chunks / 4


@pytest.mark.parametrize("preset", PRESETS)
def test_a_process_killed_half_way_leaves_the_old_files_whole(preset, tmp_path):
    paths = tmp_path / "catalog.parquet", tmp_path / "truth"
    generate(GenerateConfig(preset=preset, items=100), *paths)
    before = [path.read_bytes() for path in paths]
    code = (
        "import os, signal, sys; from streamrec.catalog.generate import *\n"
        "def kill(done, total): os.kill(os.getpid(), signal.SIGKILL)\n"
        "generate(GenerateConfig(preset=sys.argv[1], items=100_000), sys.argv[2], sys.argv[3], kill)"
    )
    done = subprocess.run([sys.executable, "-c", code, preset, *map(str, paths)], check=False)
    assert done.returncode == -9
    assert [path.read_bytes() for path in paths] == before


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(GenerateConfig(), tmp_path / "catalog.parquet", tmp_path / "truth.npz", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_errors_name_the_file_and_the_setting(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match=r"file.*cannot write the synthetic table: .*[Dd]irectory"):
        generate(GenerateConfig(items=1), tmp_path / "file" / "catalog.parquet")
    with pytest.raises(CatalogError, match=r"cannot write the synthetic table"):
        generate(GenerateConfig(items=1), tmp_path)
    with pytest.raises(CatalogError, match=r"x\.parquet: named for both the catalogue and its truth"):
        generate(GenerateConfig(items=1), tmp_path / "x.parquet", tmp_path / "." / "x.parquet")
    with pytest.raises(ConfigError, match="found 'random', expected one of independent, structured"):
        preset_schema("random")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
