from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from service_process import service_process
from small_bundles import make_catalog, publish_small

from streamrec.retrieval.bundle import Bundle


def test_the_command_answers_over_a_socket_and_stops_when_told(bundle: Bundle) -> None:
    with service_process(bundle.path.parent) as service:
        with httpx.Client(base_url=service.url) as client:
            version = bundle.manifest.version
            for _ in range(3):
                answer = client.get("/v1/items/item-0001/neighbors?k=2")
                assert (answer.status_code, answer.json()["bundle"]) == (200, version)
            assert "server" not in answer.headers
            assert client.head("/v1/bundle").content == b""

            def chunks() -> Any:
                yield b'{"vector": [1, 2,'
                yield b' 3, 4], "k": 1}'

            assert client.post("/v1/search", content=chunks()).status_code == 200
            assert client.get("/v1/items/item%2F0001").status_code == 404
        with socket.create_connection(("127.0.0.1", service.port)) as raw:
            raw.sendall(b"GET /v1/items/%ff\xff HTTP/1.1\r\nhost: x\r\n\r\n")
            assert raw.recv(100).split()[1] in (b"400", b"404")
        log = service.stop()
        assert service.process.returncode in (0, -signal.SIGTERM)
        assert f"serving bundle {version}" in log
        assert "Traceback" not in log


@pytest.mark.slow
def test_a_request_in_progress_is_answered_before_the_service_stops(bundle: Bundle) -> None:
    with service_process(bundle.path.parent) as service:
        body = b'{"vector": [1, 2, 3, 4], "k": 1}'
        with socket.create_connection(("127.0.0.1", service.port)) as raw:
            head = b"POST /v1/search HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
            raw.sendall(head + b"content-length: %d\r\n\r\n" % len(body))
            assert raw.recv(1000).startswith(b"HTTP/1.1 100")  # the operation reads the body
            raw.sendall(body[:5])
            service.process.send_signal(signal.SIGTERM)
            assert service.process.stderr is not None
            while "Shutting down" not in service.process.stderr.readline():
                pass
            raw.sendall(body[5:])
            assert raw.recv(1000).startswith(b"HTTP/1.1 200")
        service.process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--bundle", "nothing"], 1, "nothing: no such folder; publish a bundle first, or start with --wait"),
        (["--port", "TAKEN"], 2, "cannot listen there: Address already in use; choose another --port"),
        (["--host", "300.0.0.1"], 2, "300.0.0.1:8080: cannot listen there"),
        (["--token-file", "nothing"], 2, "nothing: cannot read the tokens"),
        (["--set", "limits.max_q=1"], 2, "unknown setting 'limits.max_q'; did you mean 'limits.max_k'?"),
        (["--workers", "0"], 2, "workers: input should be greater than or equal to 1, found 0"),
    ],
)
def test_what_keeps_the_service_from_starting_is_told_in_one_line(
    options: list[str],
    code: int,
    message: str,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from streamrec import cli

    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        given = [port if option == "TAKEN" else option for option in options]
        where = [] if "--bundle" in options else ["--bundle", str(bundle.path.parent)]
        monkeypatch.setattr("sys.argv", ["streamrec", "serve", *where, *given])
        with pytest.raises(SystemExit) as raised:
            cli.main()
    printed = capsys.readouterr().err
    assert raised.value.code == code
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.slow
def test_several_workers_add_up_their_numbers_swap_and_end_together(tmp_path: Path) -> None:
    root = tmp_path / "published"
    catalog = make_catalog(tmp_path / "catalog.parquet")
    publish_small(root, catalog)
    with service_process(root, "--workers", "2") as service:

        def numbers() -> dict[str, float]:
            lines = httpx.get(f"{service.url}/metrics").text.splitlines()
            pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
            return {name: float(value) for name, _, value in pairs}

        def swaps() -> float:
            return numbers().get("streamrec_bundle_swaps_total", 0)

        deadline = time.monotonic() + 120
        while swaps() < 2:
            assert time.monotonic() < deadline, "the second worker did not start"
            time.sleep(0.1)
        for _ in range(40):  # a connection each: both workers get some
            assert httpx.get(f"{service.url}/v1/items/item-0001").status_code == 200
        counted = 'streamrec_requests_total{route="/v1/items/{item_id}",status="200"}'
        assert numbers()[counted] == 40
        second = publish_small(root, catalog)
        while swaps() < 4:
            assert time.monotonic() < deadline, "the workers did not swap"
            time.sleep(0.1)
        info = {name: value for name, value in numbers().items() if "bundle_info" in name}
        assert [name for name, value in info.items() if value == 1] == [
            f'streamrec_bundle_info{{version="{second.manifest.version}"}}'
        ]
        assert numbers()["streamrec_bundle_rows"] == 200
        workers = psutil.Process(service.process.pid).children(recursive=True)
        service.stop(signal.SIGKILL)
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive


@pytest.mark.slow
def test_a_service_that_waits_serves_what_is_published_later(tmp_path: Path) -> None:
    with service_process(tmp_path / "published", "--wait") as service:
        assert httpx.get(f"{service.url}/readyz").status_code == 503
        made = publish_small(tmp_path / "published", make_catalog(tmp_path / "catalog.parquet"))
        deadline = time.monotonic() + 60
        while httpx.get(f"{service.url}/readyz").status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert httpx.get(f"{service.url}/readyz").json()["bundle"] == made.manifest.version
