"""The command over a bundle with the real item encoder and towers without training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_bundles import SCHEMA, make_catalog, make_table
from small_towers import MODEL, PlainTowers, make_seen
from typer.testing import CliRunner

from streamrec.catalog.codec import FeatureCodec
from streamrec.cli import app
from streamrec.config import CodecConfig, PublishConfig
from streamrec.errors import BundleError, ConfigError
from streamrec.interactions.content import ItemContent
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.content import encoded_features
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.publish import publish
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.tower_encoder import BundleEncoder
from streamrec.retrieval.write_towers import write_towers


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("recommend")
    catalog = make_catalog(folder / "catalog.parquet")
    codec = FeatureCodec.fit(catalog.table(), SCHEMA, CodecConfig())
    torch.manual_seed(0)
    encoder = ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=4, hidden=(16,))))
    items = publish(folder / "published", catalog, encoder, PublishConfig(), seed=0)
    features = encoded_features(catalog.table(), codec)
    content = ItemContent(encoder.encode(catalog.table()), features)
    write_towers(
        folder / "towers",
        PlainTowers(4, features.shape[1]),
        content,
        make_seen(items),
        items.manifest.encoder_fingerprint,
        PublishConfig(),
        0,
        item_column="id",
    )
    return publish_towers(folder / "published", items, folder / "towers", model=MODEL)


@pytest.fixture(autouse=True)
def _plain_towers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamrec.retrieval.tower_encoder.load_towers", PlainTowers.load)


def run(bundle: Bundle, *arguments: str) -> list[list[str]]:
    """Cells of the lines that `streamrec recommend` prints."""
    out = str(bundle.path.parents[1])
    done = CliRunner().invoke(app, ["recommend", "--out", out, *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.output.splitlines()]


def test_a_user_gets_items_with_scores(bundle: Bundle) -> None:
    lines = run(bundle, "--user", "user-007", "-k", "4", "--exclude-seen", "--where", "genre=war")
    found = bundle.recommender.for_user("user-007", 4, {"genre": "war"}, exclude_seen=True)
    assert lines[0][:3] == ["id", "score", "genre"]
    assert [line[:3] for line in lines[1:]] == [
        [item, f"{score:.4f}", "war"] for item, score in zip(found.ids, found.scores, strict=True)
    ]


def test_a_known_users_history_gives_the_same_items_as_the_user(bundle: Bundle) -> None:
    towers = bundle.recommender.towers
    own = towers.histories.row(7)
    ids = [towers.items.column[int(item)].as_py() for item in own]
    assert run(bundle, "--history", ",".join(ids), "--exclude-seen") == run(
        bundle, "--user", "user-007", "--exclude-seen"
    )
    assert run(bundle, "--history", ids[0]) != run(bundle, "--user", "user-007")


def test_a_new_item_is_shown_to_the_users_it_suits(bundle: Bundle, tmp_path: Path) -> None:
    rows = make_table(3, seed=8).drop_columns(["added", "title"])
    pq.write_table(rows, tmp_path / "new.parquet")
    lines = run(bundle, "--new-items", str(tmp_path / "new.parquet"), "-k", "2")
    assert lines[0] == ["id", "user_id", "score"]
    assert [line[0] for line in lines[1:]] == sorted(rows["id"].to_pylist() * 2)
    vectors = BundleEncoder(bundle).new_items(rows)
    products = bundle.recommender.towers.user_index.vectors(np.arange(60)) @ vectors.T
    assert [line[1] for line in lines[1:]] == [
        f"user-{user:03d}" for item in range(3) for user in np.argsort(-products[:, item])[:2]
    ]


def test_a_published_item_encoded_as_if_new_has_its_vector(bundle: Bundle) -> None:
    vectors = BundleEncoder(bundle).new_items(make_table())
    held = bundle.recommender.towers.item_index.vectors(np.arange(200))
    np.testing.assert_allclose(vectors, held, rtol=1e-4, atol=1e-5)


def test_models_altered_since_the_bundle_was_opened_are_refused(bundle: Bundle) -> None:
    encoder = BundleEncoder(bundle)
    path = bundle.path / "towers" / "model" / "towers.json"
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    try:
        with pytest.raises(BundleError, match=r"towers\.json: altered"):
            encoder.histories([np.array([3])])
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of --user, --history and --new-items"),
        (["--user", "a", "--history", "b"], "one of --user, --history and --new-items"),
        (["--new-items", "x.parquet", "--exclude-seen"], "--new-items: users are found"),
        (["--new-items", "absent.parquet"], "absent.parquet"),
        (["--user", "user-007", "--where", "genre"], "--where genre: expected column=value"),
    ],
)
def test_a_question_that_makes_no_sense_is_an_error_of_usage(
    arguments: list[str], message: str, bundle: Bundle
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(bundle, *arguments)


def test_known_users_are_answered_without_torch(bundle: Bundle) -> None:
    code = (
        "import sys\nfrom streamrec.cli import app\napp(sys.argv[1:], standalone_mode=False)\n"
        "print(*[name for name in ('torch', 'pandas', 'scipy', 'mlflow') if name in sys.modules], 'end')"
    )
    arguments = ["recommend", "--out", bundle.path.parents[1], "--user", "user-007", "--exclude-seen"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--where", "genre=war"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == "end"
