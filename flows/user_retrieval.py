"""`user-retrieval`: users' events in, towers that recommend the published items out, a task per step.

Towers are published, in a new bundle with the items that they were trained on, only where they beat the
classical recommenders and hold against the towers in use. Here are the flow and what decides which steps of
earlier runs are reused; the steps are in `flows.user_tasks`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.states import State

from flows.events import TOWERS_PUBLISHED, TOWERS_REFUSED, tell
from flows.promotion import not_promoted, record_decision
from flows.retrieval_summary import RetrievalSummary
from flows.stages import Progress, Stages, alone
from flows.user_tasks import (
    PreparedEvents,
    hold_towers,
    index_towers,
    judge_towers,
    open_bundle,
    open_store,
    prepare_events,
    prepare_users,
    promote_towers,
    publish_bundle,
    record_inputs,
    register_towers,
    report,
    train_towers,
    validate_events,
)
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
    from streamrec.fit_user_retrieval import Judged, Trained
    from streamrec.promotion.challenger import Challenger
    from streamrec.promotion.decision import Decision
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.manifest import ModelSource, TowerFacts
    from streamrec.tracking import TrackedRun


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


def example_user(folder: Path) -> str:
    """Id of the first user with a history."""
    from streamrec.fit_user_retrieval import TOWERS
    from streamrec.retrieval.read_towers import open_towers

    towers = open_towers(folder / TOWERS)
    return str(towers.users.column[int(towers.histories.lengths.argmax())].as_py())
