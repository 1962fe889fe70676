"""`recommend`: items for a user or a history, and users for new items, from the current bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.commands.options import Out
from streamrec.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.search import Neighbours


def recommend(
    user: Annotated[str | None, typer.Option("--user", help="Id of a user of the bundle.")] = None,
    history: Annotated[
        str | None,
        typer.Option(
            metavar="ID,ID",
            help="Items that somebody, whom the bundle need not know, has seen; oldest first.",
        ),
    ] = None,
    new_items: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Item rows not in the index: the users that they suit are shown."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of items, or of users per new item.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only items with this value; repeatable."),
    ] = None,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen", help="Leave out the items of the history.")
    ] = False,
    out: Out = Path("data"),
) -> None:
    """Recommend items to a user or for a history; or find the users for new items."""
    from streamrec.retrieval.bundle import Bundle

    if sum(given is not None for given in (user, history, new_items)) != 1:
        raise ConfigError("recommend: give one of --user, --history and --new-items")
    if new_items is not None and (where or exclude_seen):
        raise ConfigError("--new-items: users are found, to which --where and --exclude-seen do not apply")
    wanted = conditions(where or [])
    bundle = Bundle.open(out / "published")
    if new_items is not None:
        print(_audience(bundle, new_items, k))
        return
    from streamrec.screens import neighbours_table

    if user is not None:
        found = bundle.recommender.for_user(user, k, wanted, exclude_seen)
    else:
        found = _for_history(bundle, history or "", k, wanted, exclude_seen)
    print(neighbours_table(found))


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(recommend)


def conditions(where: list[str]) -> dict[str, list[str | int | bool]]:
    """Values by column from `column=value` texts.

    Raises:
        ConfigError: one is not of that form.
    """
    wanted: dict[str, list[str | int | bool]] = {}
    for condition in where:
        column, separator, value = condition.partition("=")
        if not separator:
            raise ConfigError(f"--where {condition}: expected column=value")
        wanted.setdefault(column, []).append(value)
    return wanted


def _for_history(
    bundle: Bundle, history: str, k: int, where: dict[str, list[str | int | bool]], exclude_seen: bool
) -> Neighbours:
    recommendations = bundle.recommender
    seen = recommendations.history([part.strip() for part in history.split(",") if part.strip()])
    from streamrec.retrieval.lists import Lists
    from streamrec.retrieval.tower_encoder import BundleEncoder

    vector = BundleEncoder(bundle).histories([seen])
    without = Lists.of([seen]) if exclude_seen else None
    return recommendations.for_vectors(vector, k, where, without)[0]


def _audience(bundle: Bundle, path: str, k: int) -> str:
    recommendations = bundle.recommender
    from streamrec.console import align
    from streamrec.retrieval.tower_encoder import BundleEncoder

    rows = _read(path, bundle)
    column = bundle.manifest.features.item_id
    ids = rows[column].to_pylist() if column in rows.column_names else list(range(1, len(rows) + 1))
    found = recommendations.users_for_vectors(BundleEncoder(bundle).new_items(rows), k)
    lines = [
        [str(item), str(user), f"{score:.4f}"]
        for item, users in zip(ids, found, strict=True)
        for user, score in zip(users.ids, users.scores, strict=True)
    ]
    return align([[column, "user_id", "score"], *lines])


def _read(path: str, bundle: Bundle) -> pa.Table:
    """The rows as a catalogue of the bundle's schema, less what models do not read."""
    import tempfile

    from streamrec.catalog.ingest import ingest
    from streamrec.catalog.source import open_table
    from streamrec.config import IngestConfig

    schema = bundle.manifest.features
    try:
        open_table(path).schema([schema.item_id, *schema.feature_columns])
    except CatalogError as error:
        raise ConfigError(str(error)) from error
    read = schema.model_copy(update={"timestamp": None, "display": ()})
    with tempfile.TemporaryDirectory() as folder:
        return ingest(IngestConfig(path=path), read, Path(folder)).catalog.table()
