from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_bundles import CREATED, SCHEMA, PlainEncoder, make_catalog, make_table, publish_small, sign_again

from streamrec.errors import BundleError
from streamrec.retrieval import bundle as module
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import IndexSettings, Manifest

FILES = [
    "manifest.json",
    "embeddings.parquet",
    "items.faiss",
    "profile.json",
    "codec/codec.json",
    "codec/codec.npz",
    "model/model.json",
    "model/weights.safetensors",
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of the same items by one encoder (`one`), by another (`two`), of five latents (`wide`)."""
    folder = tmp_path_factory.mktemp("bundles")
    catalog = make_catalog(folder / "items.parquet")
    (folder / "profile.json").write_text("{}")
    for name, encoder in (
        ("one", PlainEncoder()),
        ("two", PlainEncoder(shift=1.0)),
        ("wide", PlainEncoder(dimension=5)),
    ):
        publish_small(folder / name, catalog, encoder, profile=folder / "profile.json", created=CREATED)
    fewer = make_catalog(folder / "fewer.parquet", make_table(199))
    publish_small(folder / "fewer", fewer, created=CREATED)
    return folder


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy of `one` to break."""
    return shutil.copytree(published / "one", tmp_path / "root", symlinks=True)


@pytest.fixture
def folder(root: Path) -> Path:
    return (root / "current").resolve()


def test_the_folder_of_bundles_the_link_and_the_bundle_open_alike(root: Path, folder: Path) -> None:
    for path in (root, root / "current", folder, str(root)):
        assert Bundle.open(path).path == folder


def test_a_bundle_may_be_copied_elsewhere(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert Bundle.open(tmp_path / "elsewhere").neighbours("item-0001", k=3).ids


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_changed_byte_is_refused_by_the_name_of_its_file(folder: Path, name: str, place: float) -> None:
    data = bytearray((folder / name).read_bytes())
    data[int(place * (len(data) - 1))] ^= 0x10
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=name):
        Bundle.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_or_cut_off_is_refused_by_its_name(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1])
    with pytest.raises(BundleError, match=name):
        Bundle.open(folder)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("name", "named"),
    [(name, name) for name in ("embeddings.parquet", "items.faiss", "codec/codec.json", "model/model.json")]
    + [("manifest.json", "codec/codec.json")],
)
def test_a_file_of_another_bundle_is_refused_by_its_name(
    published: Path, folder: Path, name: str, named: str
) -> None:
    shutil.copyfile(published / "wide" / "current" / name, folder / name)
    with pytest.raises(BundleError, match=named):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("items.faiss", "two", r"items\.faiss: row \d+ differs by .* from its vector in embeddings\.parquet"),
        ("items.faiss", "wide", r"items\.faiss: dimension is 5, manifest\.json says 4"),
        ("items.faiss", "fewer", r"items\.faiss: row count is 199, manifest\.json says 200"),
        (
            "embeddings.parquet",
            "two",
            r"embeddings\.parquet: codec fingerprint is \w+, manifest\.json says \w+",
        ),
        ("embeddings.parquet", "wide", r"embeddings\.parquet: dimension is 5, manifest\.json says 4"),
        ("embeddings.parquet", "fewer", r"embeddings\.parquet: row count is 199, manifest\.json says 200"),
        ("codec/codec.json", "two", r"codec\.json: codec fingerprint is \w+, manifest\.json says \w+"),
        ("model/model.json", "wide", r"model\.json: dimension of the latent is 5, manifest\.json says 4"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_though_every_checksum_is_right(
    published: Path, folder: Path, name: str, other: str, message: str
) -> None:
    shutil.copyfile(published / other / "current" / name, folder / name)
    sign_again(folder)
    with pytest.raises(BundleError, match=message):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("codec/codec.json", b"[]", "codec fingerprint is None"),
        ("codec/codec.json", b"{", "codec fingerprint is None"),
        ("model/model.json", b'{"config": 3}', "dimension of the latent is None"),
        ("embeddings.parquet", b"PAR1", "not a table of embeddings"),
        ("items.faiss", b"IxFI", "not a FAISS index"),
    ],
)
def test_files_that_are_not_what_their_names_say_are_refused(
    folder: Path, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)
    sign_again(folder)
    with pytest.raises(BundleError, match=f"{name}: {message}"):
        Bundle.open(folder)


def test_a_manifest_of_another_schema_or_index_is_refused(folder: Path) -> None:
    other = SCHEMA.model_copy(update={"categorical": ("genre",)})
    sign_again(folder, schema_fingerprint=other.fingerprint)
    with pytest.raises(BundleError, match=r"manifest\.json: schema fingerprint is "):
        Bundle.open(folder)
    sign_again(folder, schema=other.model_dump())
    with pytest.raises(BundleError, match=r"codec\.json: schema fingerprint is "):
        Bundle.open(folder)
    sign_again(
        folder,
        schema=SCHEMA.model_dump(),
        schema_fingerprint=SCHEMA.fingerprint,
        index=IndexSettings(kind="ivf", lists=5, nprobe=1).model_dump(),
    )
    with pytest.raises(BundleError, match=r"items\.faiss: kind is flat, manifest\.json says ivf"):
        Bundle.open(folder)


def test_a_manifest_must_list_what_every_bundle_has(folder: Path) -> None:
    files = Manifest.read(folder / "manifest.json").model_dump()["files"]
    del files["items.faiss"]
    manifest = Manifest.read(folder / "manifest.json").model_dump(by_alias=True) | {"files": files}
    (folder / "manifest.json").write_bytes(Manifest.model_validate(manifest).to_json())
    with pytest.raises(BundleError, match=r"manifest\.json: lists no items\.faiss"):
        Bundle.open(folder)


def test_where_nothing_is_published_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="absent: no such folder; publish a bundle first"):
        Bundle.open(tmp_path / "absent")
    with pytest.raises(BundleError, match=r"neither a bundle \(no manifest\.json\) nor a folder of bundles"):
        Bundle.open(tmp_path)
    (tmp_path / "current").symlink_to("20260101T000000.000000Z-00000000")
    with pytest.raises(
        BundleError, match=r"current: points to .*20260101T000000\.000000Z-00000000, which is no"
    ):
        Bundle.open(tmp_path)


def test_an_open_bundle_outlives_its_folder(root: Path, folder: Path) -> None:
    bundle = Bundle.open(root)
    expected = bundle.neighbours("item-0001", k=3, where={"genre": "war"})
    shutil.rmtree(root)
    found = bundle.neighbours("item-0001", k=3, where={"genre": "war"})
    assert found.items.to_pylist() == expected.items.to_pylist()


def test_a_bundle_removed_while_it_is_being_opened_gives_way_to_the_new_one(
    root: Path, folder: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = module.BundleReader.of
    new = (published / "two" / "current").resolve()

    def slow(path: Path) -> module.BundleReader:
        if path == folder and path.exists():
            shutil.copytree(new, root / new.name)
            (root / "next").symlink_to(new.name)
            (root / "next").rename(root / "current")
            shutil.rmtree(folder)
        return reader(path)

    monkeypatch.setattr(module.BundleReader, "of", slow)
    assert Bundle.open(root).path == root / new.name


def test_querying_imports_neither_torch_nor_pandas(root: Path) -> None:
    code = """
import json, sys
from streamrec.retrieval.bundle import Bundle
found = Bundle.open(sys.argv[1]).neighbours("item-0001", k=2, where={"genre": "war"})
loaded = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([found.ids, sorted(loaded & {"torch", "pandas", "mlflow", "prefect"})]))
"""
    done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True)
    ids, loaded = json.loads(done.stdout)
    assert ids == Bundle.open(root).neighbours("item-0001", k=2, where={"genre": "war"}).ids
    assert loaded == []


def test_the_example_finds_the_same_neighbours_without_this_library(root: Path, folder: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "query_bundle.py"
    assert "import streamrec" not in example.read_text()
    assert "from streamrec" not in example.read_text()
    command = [sys.executable, example, root / "current", "item-0001", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = Bundle.open(root).neighbours("item-0001", k=4)
    expected = [f"{score:.4f}  {name}" for name, score in zip(found.ids, found.scores, strict=True)]
    assert done.stdout.splitlines() == expected
    data = bytearray((folder / "codec" / "codec.npz").read_bytes())
    data[0] ^= 1
    (folder / "codec" / "codec.npz").write_bytes(data)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "codec.npz was altered" in done.stderr
