from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_bundles import CREATED, SCHEMA

from streamrec.errors import BundleError
from streamrec.retrieval.manifest import (
    Alignment,
    FileRecord,
    IndexSettings,
    Manifest,
    MeasuredRecall,
    ModelSource,
    PublishedSamples,
    Refreshed,
)


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        version="20260102T030405.000000Z-00000000",
        created=CREATED,
        rows=7,
        dimension=4,
        zero_vectors=0,
        features=SCHEMA,
        schema_fingerprint=SCHEMA.fingerprint,
        codec_fingerprint="0" * 64,
        model=ModelSource(name="encoder", version="3", run_id="é" * 3),
        index=IndexSettings(kind="flat"),
        recall=MeasuredRecall(k=6, value=1.0, queries=7, tolerance=1e-6),
        seed=0,
        config={"checksum": "0" * 64},
        quality={"recall": 0.5, "undefined": float("nan")},
        files={"a": FileRecord(bytes=0, sha256="0" * 64)},
    )


def test_what_is_written_is_read_back(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest.to_json())
    read = Manifest.read(tmp_path / "manifest.json")
    assert read.quality == {"recall": 0.5, "undefined": None}
    assert read == manifest.model_copy(update={"quality": read.quality})
    assert json.loads(manifest.to_json())["schema"]["item_id"] == "id"


def test_parts_that_a_bundle_does_not_have_are_not_named(manifest: Manifest) -> None:
    named = json.loads(manifest.to_json()).keys()
    assert not named & {"towers", "space", "alignment", "refreshed", "samples"}


def test_parts_of_a_later_bundle_are_read_back(manifest: Manifest, tmp_path: Path) -> None:
    later = manifest.model_copy(
        update={
            "space": "20260101T000000.000000Z-11111111",
            "alignment": Alignment(
                reference="20260101T000000.000000Z-11111111",
                common_items=6,
                mean_cosine=0.9,
                p05_cosine=-0.5,
                relative_residual=0.4,
                comparable=False,
            ),
            "refreshed": Refreshed(source="20260101T000000.000000Z-11111111", encoded=1, kept=6, removed=2),
            "samples": PublishedSamples(rows=5, family="flow", seed=3),
            "quality": None,
        }
    )
    (tmp_path / "manifest.json").write_bytes(later.to_json())
    assert Manifest.read(tmp_path / "manifest.json") == later


def test_no_byte_can_change_unseen(manifest: Manifest, tmp_path: Path) -> None:
    data, path = manifest.to_json(), tmp_path / "manifest.json"
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(BundleError, match=r"manifest\.json"):
            Manifest.read(path)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{}", b'{"format": 1}', b"\xff\xfe", b'{"format": 1']
)
def test_another_file_of_that_name_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json: not a bundle manifest"):
        Manifest.read(tmp_path / "manifest.json")


def test_a_later_format_is_named(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest.to_json().replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(BundleError, match="bundle format 2, this version reads 1"):
        Manifest.read(tmp_path / "manifest.json")


def test_a_setting_that_no_manifest_has_is_named(manifest: Manifest, tmp_path: Path) -> None:
    wrong = manifest.model_copy(update={"rows": -1})
    (tmp_path / "manifest.json").write_bytes(wrong.to_json())
    with pytest.raises(BundleError, match=r"rows: .*found -1"):
        Manifest.read(tmp_path / "manifest.json")
