"""The same store behind a real MLflow server, which keeps the artifacts itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from streamrec.config import TrackConfig
from streamrec.errors import TrackingError
from streamrec.pyfunc.registry import challenger, champion, promote, register_item_encoder
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.tracking import TrackingStore, prepare_store

pytestmark = pytest.mark.slow


@pytest.fixture
def server_store(tmp_path: Path) -> Iterator[TrackingStore]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--backend-store-uri", f"sqlite:///{folder}/db", "--artifacts-destination", folder],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 240
        ready = None
        while ready is None:
            try:
                ready = prepare_store(TrackConfig(uri=f"http://127.0.0.1:{port}"), tmp_path)
            except TrackingError:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.5)
        yield ready
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def test_runs_and_models_go_through_a_server(
    server_store: TrackingStore,
    encoder: ItemEncoder,
    encoder_folder: Path,
    rows: pa.Table,
    predict_in_clean_process: Callable[[str], np.ndarray],
) -> None:
    assert champion(server_store) is None
    with server_store.start_run("remote") as run:
        run.log_metrics({"evaluation/recall": 0.5})
        run.log_files(encoder_folder / "model", "model")
        version = register_item_encoder(run, encoder_folder, rows)
    assert challenger(server_store) == version
    promote(server_store, version.version)
    with pytest.raises(TrackingError, match="version 9"):
        promote(server_store, 9)
    assert server_store.client.get_run(run.run_id).info.status == "FINISHED"

    np.testing.assert_array_equal(predict_in_clean_process(server_store.uri), encoder.encode(rows))
