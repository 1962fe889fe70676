"""`user-retrieval`: users' events in, towers that recommend the published items out, a task per step.

Towers are published, in a new bundle with the items that they were trained on, only where they beat the
classical recommenders and hold against the towers in use. Tasks import their tools when they run, as those
of `item-embeddings`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.states import State

from flows.events import TOWERS_PUBLISHED, TOWERS_REFUSED, tell
from flows.promotion import not_promoted, record_decision
from flows.retrieval_summary import RetrievalSummary
from flows.stages import Progress, Stages, alone
from flows.steps import IO_STEP, STEP
from streamrec.stages.users import (
    ANNOUNCE_TOWERS,
    EVENTS,
    INDEX_TOWERS,
    JUDGE_TOWERS,
    REGISTER_TOWERS,
    TRAIN_TOWERS,
    USERS,
    VALIDATE_EVENTS,
)
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
    from streamrec.retrieval.manifest import ModelSource, TowerFacts
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


@flow(name="user-retrieval", persist_result=False)
def user_retrieval(config: UserRetrievalConfig) -> RetrievalSummary | State[RetrievalSummary]:
    """Read, validate, train, register, judge and, where all their gates hold, publish towers.

    Where they do not, the run ends in the failed state `NotPromoted`, once its report is written, and what
    was published before stays as it was.

    Raises:
        NotPromotedError: the towers were refused.
        StreamRecError: of the first step that failed; also where another bundle became current meanwhile.
    """
    begun = time.perf_counter()
    with alone("user-retrieval", config) as (folder, stages):
        with stages("track"):
            store = open_store(config)
        with store.start_run(folder.name) as run:
            with stages("open"):
                bundle = open_bundle(config)
            with stages("ingest") as progress:
                prepared = prepared_events(config, bundle, folder, stages, progress)
            with stages("validate"):
                record_inputs(config, run, bundle, prepared)
                validation = stages.kept(
                    VALIDATE_EVENTS, lambda: validate_events(config, run, bundle, prepared, folder)
                )
            with stages("train") as progress:
                trained = stages.kept(
                    TRAIN_TOWERS, lambda: train_towers(config, bundle, prepared, folder, progress)
                )
            with stages("evaluate") as progress:
                judged = stages.kept(
                    JUDGE_TOWERS, lambda: judge_towers(config, bundle, prepared, folder, progress)
                )
            with stages("index") as progress:
                facts = stages.kept(
                    INDEX_TOWERS, lambda: index_towers(config, bundle, prepared, folder, progress)
                )
            with stages("register"):
                towers = registered(run, bundle, folder, trained, judged, stages)
            with stages("judge"):
                challenger = kept_challenger(config, folder, towers, judged)
                decision = decided(config, run, bundle, prepared, folder, towers, judged, facts)
            published: Bundle | None = None
            if decision.promoted:
                with stages("publish"):
                    published = published_towers(config, bundle, folder, challenger, decision, stages)
                with stages("promote"):
                    promote_towers(config, store)
            verdict = judged.comparison.verdict
            summary = RetrievalSummary(
                run=folder.name,
                folder=folder,
                trained_on=bundle.manifest.version,
                bundle=None if published is None else published.path,
                promotion=decision.headline,
                items=facts.items,
                users=facts.users,
                events=prepared.events.rows,
                refused=prepared.events.rows_refused,
                model=towers.name,
                version=towers.version,
                tracking_uri=store.uri,
                split=judged.comparison.why,
                verdict=tuple(verdict.lines()),
                metrics=judged.figures,
                example=example_user(folder),
                warnings=(*map(str, validation.warnings), *judged.left_out),
                seconds=stages.seconds,
                total_seconds=time.perf_counter() - begun,
                reused=stages.reused,
            )
            with stages("report"):
                report(run, summary)
        announce(bundle, published, stages)
    if published is None:
        return not_promoted(decision, folder)
    return summary.model_copy(
        update={"seconds": stages.seconds, "total_seconds": time.perf_counter() - begun}
    )


def prepared_events(
    config: UserRetrievalConfig, bundle: Bundle, folder: Path, stages: Stages, progress: Progress
) -> PreparedEvents:
    """Events and users; tables are known by their content, those at a URL are read anew."""
    from streamrec.stages.sources import ids_digest, items_digest, source_digest

    events, users = config.interactions, config.users
    items = bundle.searcher.items.ids.column
    stages.finished.give("events-source", source_digest(events.path, events.format))
    stages.finished.give("ids", ids_digest(items))
    stages.finished.give("items", items_digest(bundle.manifest))
    read = stages.kept(EVENTS, lambda: prepare_events(config, bundle, folder, progress))
    if users is None:
        stages.finished.give("users", "none")
        return PreparedEvents(read, None)
    stages.finished.give("users-source", source_digest(users.path, users.format))
    return PreparedEvents(read, stages.kept(USERS, lambda: prepare_users(users, folder)))


def registered(
    run: TrackedRun, bundle: Bundle, folder: Path, trained: Trained, judged: Judged, stages: Stages
) -> RegisteredModel:
    """The towers' version: the one that was registered of them already, if it is still there."""
    from streamrec.pyfunc.registry import find_version

    key = stages.key(REGISTER_TOWERS)
    return stages.adopted(
        find_version(run.store, key),
        lambda found: f"{found.name} version {found.version}",
        lambda: register_towers(run, bundle, folder, trained, judged, key),
    )


def kept_challenger(
    config: UserRetrievalConfig, folder: Path, towers: RegisteredModel, judged: Judged
) -> Challenger:
    """What `streamrec promote` needs of the run, also kept in its folder."""
    from streamrec.promotion.challenger import Challenger

    made = Challenger(part="towers", model=towers.source, quality=dict(judged.figures))
    made.write(folder, config)
    return made


def decided(
    config: UserRetrievalConfig,
    run: TrackedRun,
    bundle: Bundle,
    prepared: PreparedEvents,
    folder: Path,
    towers: RegisteredModel,
    judged: Judged,
    facts: TowerFacts,
) -> Decision:
    """Whether these towers replace the champion; nothing is measured where they are the champion."""
    from streamrec.promotion.decision import Decision

    if not has_towers(bundle, towers.source):
        decision = hold_towers(config, bundle, prepared, folder, towers, judged, facts)
        record_decision(run, folder, towers, decision, "user-retrieval")
        return decision
    decision = Decision.standing(bundle.manifest.version)
    decision.write(folder)
    return decision


def has_towers(bundle: Bundle, model: ModelSource) -> bool:
    """Whether a bundle has the towers of that version."""
    published = bundle.manifest.towers
    return published is not None and published.model == model


def published_towers(
    config: UserRetrievalConfig,
    bundle: Bundle,
    folder: Path,
    challenger: Challenger,
    decision: Decision,
    stages: Stages,
) -> Bundle:
    """The bundle with these towers: the current one, if it has them already."""
    return stages.adopted(
        bundle if has_towers(bundle, challenger.model) else None,
        lambda found: f"bundle {found.manifest.version}",
        lambda: publish_bundle(config, bundle, folder, challenger, decision),
    )


def announce(bundle: Bundle, published: Bundle | None, stages: Stages) -> None:
    """Tell of towers; of a publication once, also where the run that published ended before it could."""
    if published is None:
        tell(TOWERS_REFUSED, bundle)
        return

    def announced() -> str:
        tell(TOWERS_PUBLISHED, published)
        return published.manifest.version

    stages.finished.give("bundle", published.manifest.version)
    stages.kept(ANNOUNCE_TOWERS, announced)


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


def example_user(folder: Path) -> str:
    """Id of the first user with a history."""
    from streamrec.fit_user_retrieval import TOWERS
    from streamrec.retrieval.read_towers import open_towers

    towers = open_towers(folder / TOWERS)
    return str(towers.users.column[int(towers.histories.lengths.argmax())].as_py())


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
