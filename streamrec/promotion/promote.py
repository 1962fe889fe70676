"""`promote_challenger`: a challenger that was refused is judged again, or forced, and published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig, load_config
from streamrec.errors import BundleError, ConfigError
from streamrec.fit_user_retrieval import load_user_data
from streamrec.promotion.aliases import TAKEN_BACK, Part, follow_bundle, source_of
from streamrec.promotion.challenger import CHALLENGER, CONFIG, Challenger
from streamrec.promotion.decision import Decision
from streamrec.promotion.judge_encoder import judge_encoder
from streamrec.promotion.judge_towers import AGAINST_BASELINES, judge_towers
from streamrec.promotion.publish_challenger import TOWERS, publish_encoder, publish_user_towers
from streamrec.promotion.refusal import refusal
from streamrec.pyfunc.registry import RegisteredModel, version_of
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.manifest import MANIFEST, Manifest
from streamrec.retrieval.read_towers import open_towers
from streamrec.runs import RUNS, Run, suggestion
from streamrec.tracking import TrackedRun, TrackingStore, prepare_store
from streamrec.user_config import UserRetrievalConfig

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Promoted:
    """A challenger that is published now."""

    run: Run
    part: Part
    decision: Decision
    bundle: Bundle
    model: RegisteredModel | None
    """Its version, the champion."""


def find_challenger(out: Path, name: str | None = None) -> Run:
    """The run whose challenger is meant.

    Args:
        out: folder of the runs and bundles.
        name: of the run, or the number of its model's version; the newest that was refused by default.

    Raises:
        ConfigError: there is none, or the number could mean several.
    """
    runs = [Run(path.parent) for path in sorted((out / RUNS).glob(f"*/{CHALLENGER}"))]
    if name is None:
        refused = [run for run in runs if not Decision.read(run.folder).promoted]
        if not refused:
            raise ConfigError(f"{out / RUNS}: no run whose challenger was refused; name a run")
        return refused[-1]
    found = [run for run in runs if run.name == name]
    found = found or [run for run in runs if Challenger.read(run.folder).model.version == name]
    if not found:
        hint = suggestion(name, [run.name for run in runs])
        raise ConfigError(f"{out / RUNS}: no run '{name}', nor one of version {name}{hint}")
    models = {Challenger.read(run.folder).model.name for run in found}
    if len(models) > 1:
        named = " or ".join(run.name for run in found)
        raise ConfigError(
            f"version {name} could be of {' or '.join(map(str, models))}; name the run: {named}"
        )
    return found[-1]


def promote_challenger(
    out: Path, run: Run, force: str | None = None, progress: Progress | None = None
) -> Promoted:
    """Judge a run's challenger against the present champion; publish it where the gates hold, or by force.

    Args:
        out: folder of the runs and bundles.
        run: its folder has all that is published.
        force: why it is to be published although gates do not hold; recorded in the decision, the manifest
            and the registry.
        progress: told (items encoded, items in all).

    Raises:
        NotPromotedError: gates do not hold, and it was not forced.
        ConfigError: it is published already.
        StreamRecError: it cannot be read or published. What was published stays as it was.
    """
    challenger, out = Challenger.read(run.folder), out.resolve()
    published = out / "published"
    if _is_published(published, challenger):
        raise ConfigError(f"{run.name}: its {challenger.part} are what is published already")
    judge = _Encoder if challenger.part == "items" else _Towers
    work = judge(run, challenger, out, progress)
    decision = work.judge()
    if force is not None:
        decision = decision.force(force)
    decision.write(run.folder)
    if not decision.promoted:
        raise refusal(decision, run.name, out)
    bundle = work.publish(decision)
    model = follow_bundle(published, work.store, challenger.part, decision.to_tags())
    if challenger.model.run_id is not None:
        TrackedRun(work.store, challenger.model.run_id).set_tags(decision.to_tags())
    return Promoted(run, challenger.part, decision, bundle, model)


def _is_published(published: Path, challenger: Challenger) -> bool:
    if not (published / CURRENT).is_symlink():
        return False
    try:
        manifest = Manifest.read((published / CURRENT).resolve() / MANIFEST)
    except BundleError:
        return False
    return source_of(manifest, challenger.part) == challenger.model


class _Encoder:
    """An item encoder on its way."""

    def __init__(self, run: Run, challenger: Challenger, out: Path, progress: Progress | None) -> None:
        config = load_config(run.folder / CONFIG, model=RunConfig)
        self.config = config.model_copy(update={"out": out})
        self.run, self.challenger, self.progress = run, challenger, progress
        self.store = prepare_store(config.track)

    def judge(self) -> Decision:
        published, folder = self.config.out / "published", self.run.folder
        told = taken_back(self.store, self.challenger)
        return judge_encoder(self.config, self.run.catalog, folder, published, told)

    def publish(self, decision: Decision) -> Bundle:
        return publish_encoder(
            self.config,
            self.run.catalog,
            self.run.folder,
            self.config.out / "published",
            self.challenger,
            decision,
            self.progress,
        )


class _Towers:
    """Towers on their way."""

    def __init__(self, run: Run, challenger: Challenger, out: Path, progress: Progress | None) -> None:
        config = load_config(run.folder / CONFIG, model=UserRetrievalConfig)
        self.config = config.model_copy(update={"out": out})
        self.run, self.challenger = run, challenger
        self.store = prepare_store(config.track)
        self.bundle = Bundle.open(out / "published")
        self.facts = open_towers(run.folder / TOWERS).facts
        found, wanted = self.facts.encoder_fingerprint, self.bundle.manifest.encoder_fingerprint
        if found != wanted:
            raise BundleError(
                f"run {run.name}: its towers were trained on the item encoder {found[:16]}, that of the "
                f"current bundle is {wanted[:16]}; train towers on this bundle: streamrec retrieve"
            )

    def judge(self) -> Decision:
        folder, users = self.run.folder, None
        if self.config.users is not None:
            users = Catalog(folder / "users" / "catalog.parquet", self.config.users.features)
        data = load_user_data(self.bundle, folder / "interactions.parquet", users)
        before = Decision.read(folder).rows
        verdict = tuple(row for row in before if row.gate.endswith(AGAINST_BASELINES))
        return judge_towers(
            self.config,
            data,
            None if users is None else users.table(),
            verdict,
            self.facts,
            self.bundle,
            folder,
            taken_back(self.store, self.challenger),
        )

    def publish(self, decision: Decision) -> Bundle:
        return publish_user_towers(self.config, self.bundle, self.run.folder, self.challenger, decision)


def taken_back(store: TrackingStore, challenger: Challenger) -> str | None:
    """What the registry says of a rollback of the challenger; None where there was none."""
    source = challenger.model
    if source.name is None or source.version is None:
        return None
    return version_of(store.of_model(source.name), int(source.version)).tags.get(TAKEN_BACK)
