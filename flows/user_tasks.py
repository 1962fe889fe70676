"""Tasks of `user-retrieval`, in the order of its steps; they import their tools when they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact

from flows.retrieval_summary import RetrievalSummary
from flows.stages import Progress
from flows.steps import IO_STEP, STEP
from streamrec.user_config import UserRetrievalConfig

if TYPE_CHECKING:
    from streamrec.catalog.checks import ValidationResult
    from streamrec.catalog.ingest import Ingested
    from streamrec.catalog.table import Catalog
    from streamrec.fit_user_retrieval import Judged, Trained
    from streamrec.interactions.ingest import IngestedInteractions
    from streamrec.interactions.settings import UsersConfig
    from streamrec.promotion.challenger import Challenger
    from streamrec.promotion.decision import Decision
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.manifest import TowerFacts
    from streamrec.tracking import TrackedRun, TrackingStore

SUMMARY = "summary.json"


@dataclass(frozen=True)
class PreparedEvents:
    """What was read of users."""

    events: IngestedInteractions
    users: Ingested | None

    @property
    def user_table(self) -> Catalog | None:
        """Features of users, where there are any."""
        return None if self.users is None else self.users.catalog


@task(**IO_STEP)
def open_store(config: UserRetrievalConfig) -> TrackingStore:
    """Prepare the MLflow store."""
    from streamrec.tracking import prepare_store

    return prepare_store(config.track)


@task(**IO_STEP)
def open_bundle(config: UserRetrievalConfig) -> Bundle:
    """Open and verify the current bundle."""
    from streamrec.retrieval.bundle import Bundle

    return Bundle.open(config.out.resolve() / "published")


@task(**IO_STEP)
def prepare_events(
    config: UserRetrievalConfig, bundle: Bundle, folder: Path, progress: Progress
) -> IngestedInteractions:
    """Read the events against the bundle's items into `folder`."""
    from streamrec.interactions.ingest import ingest_interactions

    ids = bundle.searcher.items.ids.column.combine_chunks()
    return ingest_interactions(config.interactions, ids, folder, progress)


@task(**IO_STEP)
def prepare_users(users: UsersConfig, folder: Path) -> Ingested:
    """Read the users' table into `folder`/users."""
    from streamrec.interactions.users import ingest_users

    return ingest_users(users, folder)


@task(**IO_STEP)
def record_inputs(
    config: UserRetrievalConfig, run: TrackedRun, bundle: Bundle, prepared: PreparedEvents
) -> None:
    """Record the settings, the bundle, the events and the users in MLflow."""
    events, users = prepared.events, prepared.users
    run.log_config(config)
    run.set_tags(
        {
            "bundle": bundle.manifest.version,
            "encoder": f"{bundle.manifest.model.name} version {bundle.manifest.model.version}",
            "encoder_fingerprint": bundle.manifest.encoder_fingerprint,
        }
    )
    facts = {"rows_refused": events.rows_refused, "rows_below_min_rating": events.rows_below}
    run.log_table("events", events.path, config.interactions.path, facts)
    if users is not None and config.users is not None:
        run.log_table("users", users.catalog.path, config.users.path, {"rows_refused": users.rows_refused})


@task(**STEP)
def validate_events(
    config: UserRetrievalConfig, run: TrackedRun, bundle: Bundle, prepared: PreparedEvents, folder: Path
) -> ValidationResult:
    """Check the events against the bundle's items, the settings and the clock."""
    from streamrec.interactions.validate import validate_interactions

    ids, place = bundle.searcher.items.ids.column.combine_chunks(), folder / "validation"
    result = validate_interactions(prepared.events.path, ids, config.checks, place, prepared.events)
    run.log_files(place, "validation")
    result.raise_for_critical()
    return result


@task(**STEP)
def train_towers(
    config: UserRetrievalConfig, bundle: Bundle, prepared: PreparedEvents, folder: Path, progress: Progress
) -> Trained:
    """Fit the towers; write them to `folder`/two_tower."""
    from streamrec.fit_user_retrieval import load_user_data, train_user_towers

    data = load_user_data(bundle, prepared.events.path, prepared.user_table)
    return train_user_towers(data, config, folder, progress)


@task(**STEP)
def judge_towers(
    config: UserRetrievalConfig, bundle: Bundle, prepared: PreparedEvents, folder: Path, progress: Progress
) -> Judged:
    """Fit the baselines and compare on the test; write what was found to `folder`/rankings."""
    from streamrec.fit_user_retrieval import item_groups, judge_user_towers, load_user_data

    data = load_user_data(bundle, prepared.events.path, prepared.user_table)
    return judge_user_towers(data, item_groups(bundle), config, folder, progress)


@task(**STEP)
def index_towers(
    config: UserRetrievalConfig, bundle: Bundle, prepared: PreparedEvents, folder: Path, progress: Progress
) -> TowerFacts:
    """Make the vectors of all items and users, and their indexes, in `folder`/towers."""
    from streamrec.fit_user_retrieval import load_user_data, write_user_towers

    data = load_user_data(bundle, prepared.events.path, prepared.user_table)
    return write_user_towers(data, bundle, config, folder, progress)


@task(**IO_STEP)
def register_towers(
    run: TrackedRun, bundle: Bundle, folder: Path, trained: Trained, judged: Judged, key: str
) -> RegisteredModel:
    """Record the training, the comparison and the verdict, and register the towers as the challenger."""
    from streamrec.fit_user_retrieval import RANKINGS, TOWERS
    from streamrec.pyfunc.registry import KEY, register_two_tower

    run.log_history(trained.history.epochs, first_step=1)
    run.log_metrics(trained.chosen | judged.metrics())
    run.log_files(folder / RANKINGS, RANKINGS)
    verdict = judged.comparison.verdict
    tags = {
        "beats_baselines": str(verdict.beats_baselines).lower(),
        "verdict": "; ".join(verdict.lines()),
        "split": judged.comparison.split,
    }
    run.set_tags(tags)
    return register_two_tower(
        run,
        folder / TOWERS,
        tags | {"items_bundle": bundle.manifest.version, KEY: key},
        judged.markdown(),
    )


@task(**STEP)
def hold_towers(
    config: UserRetrievalConfig,
    bundle: Bundle,
    prepared: PreparedEvents,
    folder: Path,
    towers: RegisteredModel,
    judged: Judged,
    facts: TowerFacts,
) -> Decision:
    """Hold the towers against their baselines and the champion, by the same users."""
    from streamrec.fit_user_retrieval import load_user_data
    from streamrec.promotion.aliases import TAKEN_BACK
    from streamrec.promotion.judge_towers import baseline_rows, judge_towers

    table = prepared.user_table
    data = load_user_data(bundle, prepared.events.path, table)
    users = None if table is None else table.table()
    verdict, taken_back = baseline_rows(judged.comparison.verdict), towers.tags.get(TAKEN_BACK)
    return judge_towers(config, data, users, verdict, facts, bundle, folder, taken_back)


@task(**IO_STEP)
def publish_bundle(
    config: UserRetrievalConfig, bundle: Bundle, folder: Path, challenger: Challenger, decision: Decision
) -> Bundle:
    """Publish the bundle's items with the towers, and make that current; refused if it no longer is."""
    from streamrec.promotion.publish_challenger import publish_user_towers

    return publish_user_towers(config, bundle, folder, challenger, decision)


@task(**IO_STEP)
def promote_towers(config: UserRetrievalConfig, store: TrackingStore) -> None:
    """Make the towers of the current bundle the champion: those of this run, unless somebody rolled back."""
    from streamrec.promotion.aliases import follow_bundle

    follow_bundle(config.out.resolve() / "published", store, "towers")


@task(**IO_STEP)
def report(run: TrackedRun, summary: RetrievalSummary) -> None:
    """Write the run's summary; show it in MLflow and Prefect."""
    path = summary.folder / SUMMARY
    path.write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
    run.log_files(path)
    run.set_tags({"published": str(summary.bundle) if summary.published else f"no: {summary.promotion}"})
    run.log_metrics({f"seconds/{stage}": seconds for stage, seconds in summary.seconds.items()})
    run.set_tags({f"reused.{stage}": source for stage, source in summary.reused.items()})
    create_markdown_artifact(summary.to_markdown(), key="user-retrieval", description=summary.run)
