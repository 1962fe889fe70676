"""Each example in a process of its own, as a reader would run it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).parent / "retrieval"))

from small_bundles import make_catalog
from small_towers import publish_with_towers

from streamrec.client import Client, ServiceError
from streamrec.retrieval.bundle import Bundle
from streamrec.serving.app import create_app
from streamrec.serving.settings import ServeConfig


def example(
    root: Path, name: str, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "examples" / f"{name}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("examples")
    return publish_with_towers(folder, make_catalog(folder / "catalog.parquet"))


@pytest.fixture(scope="module")
def url(bundle: Bundle) -> Iterator[str]:
    """Address of a service over the bundle, in a thread of this process."""
    app = create_app(ServeConfig(bundle=bundle.path.parent))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_the_service_is_asked_over_http(root: Path, bundle: Bundle, url: str) -> None:
    done = example(root, "query_service", url, "item-0001", 3)
    found = bundle.neighbours("item-0001", 3)
    rows = found.items.drop_columns("id").to_pylist()
    expected = [
        f"{score:.4f}  {name}  {row}" for score, name, row in zip(found.scores, found.ids, rows, strict=True)
    ]
    first, *others = done.stdout.splitlines()
    assert first == f"bundle {bundle.manifest.version}"
    assert [line.partition("  {")[0] for line in others] == [line.partition("  {")[0] for line in expected]
    assert all(row["title"] in line for row, line in zip(rows, others, strict=True))
    failed = example(root, "query_service", url, "nothing")
    assert failed.returncode == 1
    assert failed.stderr == "not_found: no item 'nothing'\n"


def test_the_client_and_the_library_answer_the_same(bundle: Bundle, url: str) -> None:
    where = {"genre": ["war", "jazz"], "adult": True}
    with Client(url) as client:
        assert client.bundle().bundle == bundle.manifest.version
        own = client.item("item-0007")
        assert own.features["title"] == "Item 7"
        found = client.neighbours("item-0007", 5, where, features=True)
        assert found.ids == bundle.neighbours("item-0007", 5, where).ids
        assert {hit.features["genre"] for hit in found.items if hit.features} <= {"war", "jazz"}
        assert client.search(own.vector, k=4).ids == bundle.search(own.vector, 4)[0].ids
        many = client.search_many([own.vector, client.item("item-0003").vector], k=1)
        assert [one.ids for one in many.results if not isinstance(one, ServiceError)] == [
            ["item-0007"],
            ["item-0003"],
        ]
        known, unknown = client.neighbours_of_many(["item-0007", "nothing"], 5, where).results
        assert not isinstance(known, ServiceError)
        assert known.ids == found.ids
        assert isinstance(unknown, ServiceError)
        assert unknown.code == "not_found"
        recommended = client.recommend(user="user-003", k=4, exclude_seen=True)
        assert recommended.ids == bundle.recommender.for_user("user-003", 4, exclude_seen=True).ids
        with pytest.raises(ServiceError) as caught:
            client.search([1.0], k=4)
    assert (caught.value.code, caught.value.status) == ("invalid", 422)


@pytest.mark.slow
def test_rows_are_encoded_by_the_champion_and_found_in_its_bundle(
    root: Path, finished_run: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder = finished_run[0]
    catalog = next((folder / "data" / "runs").glob("*/catalog.parquet"))
    rows = pq.read_table(catalog).slice(5, 2)
    pq.write_table(rows, tmp_path / "rows.parquet")
    current = folder / "data" / "published" / "current"
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow/mlflow.db"}
    done = example(root, "encode_items", tmp_path / "rows.parquet", current, 3, **store)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["0"] * 3 + ["1"] * 3, done.stderr
    # A published item is its own nearest neighbour.
    assert [lines[0][1:], lines[3][1:]] == [["1.0000", name] for name in rows["item_id"].to_pylist()]
