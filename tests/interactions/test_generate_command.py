import subprocess
from collections.abc import Callable

import pyarrow.parquet as pq

from streamrec.interactions.generate_truth import TrueRelevance

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_generate_writes_items_users_events_and_the_truth(command: Command, tmp_path):
    words = "generate --preset structured --items 300 --interactions events.parquet --users 100 --events 2000"
    words += " --user-table users.parquet --interactions-truth truth.npz"
    done = command(*words.split(), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Wrote 2,000 events of 100 users to events.parquet." in done.stdout
    rows = {path.name: pq.read_metadata(path).num_rows for path in tmp_path.glob("*.parquet")}
    assert rows == {"items.parquet": 300, "events.parquet": 2_000, "users.parquet": 100}
    truth = TrueRelevance.load(tmp_path / "truth.npz")
    assert (len(truth.user_ids), len(truth.item_ids)) == (100, 300)


def test_generate_says_which_options_interactions_need(command: Command, tmp_path):
    done = command("generate", "--interactions", "events.parquet", folder=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "--preset structured" in done.stderr
    done = command("generate", "--preset", "structured", "--user-table", "users.parquet", folder=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "add --interactions FILE" in done.stderr
