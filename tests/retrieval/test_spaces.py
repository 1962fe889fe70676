"""What is said of bundles of one space, and of bundles of two."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from small_bundles import CREATED, make_catalog, publish_small

from streamrec.retrieval.aligned_space import AlignedSpace, align_encoder, fingerprint
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import Alignment, Refreshed
from streamrec.retrieval.releases import Releases
from streamrec.screens import manifest_page, versions_list

ALIGNMENT = Alignment(
    reference="the first",
    common_items=1_200,
    mean_cosine=0.98765,
    p05_cosine=0.91234,
    relative_residual=0.2,
    comparable=True,
)


@pytest.fixture
def bundles(tmp_path: Path) -> list[Bundle]:
    """Two of one space, then one that began its own."""
    catalog, root = make_catalog(tmp_path / "items.parquet"), tmp_path / "published"
    first = publish_small(root, catalog, created=CREATED)
    second = publish_small(
        root, catalog, created=CREATED + timedelta(days=1), alignment=ALIGNMENT, space=first.manifest.space
    )
    return [first, second, publish_small(root, catalog, created=CREATED + timedelta(days=2))]


def told_of(bundle: Bundle) -> list[list[str]]:
    """Version and note of each bundle, where this one is the current."""
    found = versions_list(Releases(bundle.path.parent).manifests, bundle.manifest.version)
    return [line.split(maxsplit=1) for line in found.splitlines()[1:]]


def test_each_version_says_whether_it_is_comparable_with_the_current_one(bundles: list[Bundle]) -> None:
    versions, other = [b.manifest.version for b in bundles], "another space: not comparable"
    assert told_of(bundles[2]) == [[versions[2], "current"], [versions[1], other], [versions[0], other]]
    notes = [other, "comparable with the current one", "current"]
    assert told_of(bundles[0]) == [[*pair] for pair in zip(reversed(versions), notes, strict=True)]
    (bundles[1].path / "manifest.json").write_text("damaged")
    assert told_of(bundles[0])[1] == [versions[1], "cannot be read"]


def test_a_page_says_what_a_bundle_was_aligned_to_and_refreshed_from(bundles: list[Bundle]) -> None:
    manifest = bundles[1].manifest.model_copy(
        update={"refreshed": Refreshed(source="the second", encoded=12, kept=1_188, removed=3)}
    )
    page = manifest_page(bundles[1].path, manifest)
    assert f"that of {bundles[0].manifest.version}" in page
    assert "the first: comparable; cosine 0.9877 on average, 95% above 0.9123, of 1,200 common items" in page
    assert "the second: 12 encoded, 1,188 kept, 3 removed" in page
    assert "aligned to" not in manifest_page(bundles[0].path, bundles[0].manifest)


def test_an_alignment_holds_beside_the_encoder_it_was_made_for_and_beside_its_own(
    bundles: list[Bundle], tmp_path: Path
) -> None:
    folder, root = bundles[2].path, bundles[2].path.parent
    published = bundles[2].manifest.encoder_fingerprint
    assert fingerprint(folder) == published
    assert AlignedSpace(onto="another").holds(folder, root)
    (tmp_path / "encoder" / "codec").mkdir(parents=True)
    (tmp_path / "encoder" / "model").mkdir()
    other = tmp_path / "encoder"
    assert AlignedSpace(onto=published).holds(other, root)
    assert not AlignedSpace(onto="another").holds(other, root)
    assert not AlignedSpace().holds(other, root)
    assert AlignedSpace().holds(other, tmp_path / "nothing")


def test_the_same_encoder_goes_on_with_its_space(bundles: list[Bundle], tmp_path: Path) -> None:
    folder, root = bundles[1].path, bundles[1].path.parent
    Releases(root).make_current(bundles[1].manifest.version)
    assert AlignedSpace().space_beside(folder, root) == bundles[0].manifest.version
    (tmp_path / "encoder" / "codec").mkdir(parents=True)
    (tmp_path / "encoder" / "model").mkdir()
    assert AlignedSpace(space="given").space_beside(tmp_path / "encoder", root) == "given"


def test_a_first_encoder_has_nothing_to_be_aligned_to(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path / "items.parquet")
    assert align_encoder(tmp_path, catalog, tmp_path / "published", seed=0) == AlignedSpace()
