"""The real page in a real browser: by mouse, by keyboard, in both schemes, while bundles change under it."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from browser import Tab, browser, chromium
from PIL import Image
from small_bundles import PlainEncoder, make_catalog, make_table, publish_small

from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import ModelSource
from streamrec.retrieval.publish_samples import publish_samples
from streamrec.serving.app import create_app
from streamrec.serving.explorer.item_map import ItemMap
from streamrec.serving.settings import ServeConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium to open the page with"),
]
LOADED = (
    "!!document.querySelector('.cover')?.hidden && document.querySelectorAll('.values button').length > 0"
)
HEADING = "document.querySelector('#panel-Item h2')?.innerText"
NEIGHBOURS = (
    "[...document.querySelectorAll('#panel-Item .neighbours small')].map(e => e.innerText.split(' ')[0])"
)
NEAREST = (
    "[...document.querySelectorAll('#panel-Walk .neighbours small')].map(e => e.innerText.split(' ')[0])"
)


@contextmanager
def service(root: Path, port: int = 0, **settings: Any) -> Iterator[str]:
    """Address of a service over the bundles below `root`."""
    config = ServeConfig.model_validate({"bundle": root, "poll_seconds": 0.05, **settings})
    server = uvicorn.Server(uvicorn.Config(create_app(config), port=port, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < end, "the service did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)


def publish(root: Path, rows: int = 200, seed: int = 0) -> Bundle:
    """A bundle with samples."""
    catalog = make_catalog(root.parent / f"items-{rows}-{seed}.parquet", make_table(rows, seed))
    drawn = make_table(25, seed=8)
    vectors = PlainEncoder().encode(drawn.combine_chunks().to_batches()[0])
    bundle = publish_small(root, catalog, quality={"latent_purity_genre": 0.75})
    return publish_samples(root, bundle, drawn, vectors, "flow", ModelSource(), 1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return publish(tmp_path_factory.mktemp("page") / "published")


@pytest.fixture(scope="module")
def address(bundle: Bundle) -> Iterator[str]:
    with service(bundle.path.parent) as url:
        yield url


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(window: Tab) -> Iterator[Tab]:
    """The window; whatever a test does in it, nothing may go wrong that only the console tells."""
    window.errors.clear()
    yield window
    assert window.errors == []


@pytest.fixture
def page(tab: Tab, address: str) -> Tab:
    tab.open(address)
    tab.wait(LOADED)
    return tab


def picture(tab: Tab, folder: Path) -> np.ndarray:
    """The map as it is drawn, (h, w, 3), once it has come to rest."""
    last = b""
    for shot in itertools.count():
        assert shot < 100, "the page never comes to rest"
        time.sleep(0.15)
        data = tab.screenshot(folder / "page.png")
        if data == last:
            break
        last = data
    box = tab.run(
        "(() => { const b = document.querySelector('canvas').getBoundingClientRect();"
        "return [b.x, b.y, b.right, b.bottom]; })()"
    )
    return np.asarray(Image.open(BytesIO(last)).convert("RGB").crop([round(side) for side in box]))


def coloured(image: np.ndarray) -> int:
    """Pixels that are neither grey nor background."""
    spread = image.max(axis=2).astype(int) - image.min(axis=2)
    return int((spread > 60).sum())


def search(tab: Tab, text: str) -> None:
    tab.click("header input")
    tab.run("document.querySelector('header input').select()")
    tab.type(text)
    tab.press("Enter")


def test_points_are_drawn_in_the_colours_of_the_legend(page: Tab, tmp_path: Path) -> None:
    assert page.text("header .chip").endswith("200 items")
    rows = page.text(".values").split("\n")
    assert rows[0] in ("drama", "comedy", "war", "jazz")
    assert rows[-2:] == ["no value", "19"]
    everything = picture(page, tmp_path)
    assert coloured(everything) > 500
    page.click(".values li:first-child button")
    assert page.run("document.querySelector('.values button').getAttribute('aria-pressed')") == "true"
    one = picture(page, tmp_path)
    assert 0 < coloured(one) < 0.7 * coloured(everything)
    page.press("Escape")
    assert np.array_equal(picture(page, tmp_path), everything)
    page.run(
        "(() => { const s = document.querySelector('#colour-by'); s.value = '';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    page.wait("document.querySelectorAll('.values button').length === 0")


def test_an_item_is_found_shown_and_left_by_its_neighbours(page: Tab, bundle: Bundle) -> None:
    page.click("header input")
    page.type("item-00")
    page.wait("document.querySelectorAll('header [role=option]').length === 10")
    page.press("ArrowDown")
    page.press("ArrowDown")
    page.press("Enter")
    page.wait(f"{HEADING} === 'Item 1'")
    assert page.run(NEIGHBOURS) == bundle.neighbours("item-0001", 12).ids
    assert "tags" in page.text("#panel-Item .features")
    page.click("#panel-Item .neighbours button")
    second = bundle.neighbours("item-0001", 1).ids[0]
    page.wait(f"document.querySelector('#panel-Item .note')?.innerText === '{second}'")
    page.press("Escape")
    page.wait("!document.querySelector('#panel-Item h2')")


def test_a_click_takes_the_point_that_was_clicked(page: Tab, bundle: Bundle) -> None:
    places = ItemMap.of(bundle).places.astype(float)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag([np.inf] * len(places))
    left, top, width, height = page.run(
        "(() => { const b = document.querySelector('canvas').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height]; })()"
    )
    scale = min(width, height)
    for point in np.argsort(-apart.min(axis=1))[:3].tolist():
        x, y = places[point] / 65_535 - 0.5
        page.click_at(left + width / 2 + x * scale, top + height / 2 - y * scale)
        page.wait(f"{HEADING} === 'Item {point}'")
        page.press("Escape")
        page.wait("!document.querySelector('#panel-Item h2')")


def test_everything_is_reached_by_keyboard(page: Tab) -> None:
    seen = []
    for _ in range(25):
        page.press("Tab")
        seen.append(
            page.run(
                "document.activeElement.id || document.activeElement.className ||"
                " document.activeElement.tagName"
            )
        )
        if seen[-1] == "points":
            break
    assert seen[-1] == "points", seen
    outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "-", "Enter"):
        page.press(key)
        time.sleep(0.4)
    page.wait("!!document.querySelector('#panel-Item .neighbours')")
    first = page.run(HEADING)
    page.press("0")
    page.press("Escape")
    page.wait("!document.querySelector('#panel-Item h2')")
    assert first.startswith("Item ")


def test_a_walk_leads_from_one_item_to_the_other(page: Tab) -> None:
    search(page, "item-0003")
    page.wait(f"{HEADING} === 'Item 3'")
    page.click("#panel-Item .actions button:nth-child(2)")
    page.wait("!document.querySelector('#panel-Walk').hidden")
    page.click("#panel-Walk .search:nth-child(2) input")
    page.type("item-0140")
    page.press("Enter")
    page.wait("!document.querySelector('.walk > div:last-child').hidden")
    assert page.run(NEAREST)[0] == "item-0003"
    page.run("document.querySelector('#walk-step').focus()")
    page.press("ArrowRight")
    assert page.text(".walk output") == "4% of the way"
    between = set()
    for _ in range(23):
        between |= set(page.run(NEAREST))
        page.press("ArrowRight")
    assert page.text(".walk output") == "100% of the way"
    assert page.run(NEAREST)[0] == "item-0140"
    assert len(between) > 12


def test_samples_are_drawn_among_the_items(page: Tab, tmp_path: Path) -> None:
    without = picture(page, tmp_path)
    assert "flow" in page.text(".samples")
    page.click("#show-samples")
    page.wait("document.querySelector('#show-samples').checked")
    drawn = picture(page, tmp_path)
    assert (drawn != without).any(axis=2).sum() > 25 * 20
    page.click("#show-samples")
    assert np.array_equal(picture(page, tmp_path), without)


def test_the_figures_of_the_run_are_shown(page: Tab, bundle: Bundle) -> None:
    page.click("header .chip")
    page.wait("!document.querySelector('#panel-Bundle').hidden")
    shown = page.text("#panel-Bundle")
    assert bundle.manifest.version in shown.replace("\n", "")
    assert "Purity of genre" in shown
    assert "0.750" in shown


def test_an_unknown_item_is_said_to_be_unknown(tab: Tab, address: str) -> None:
    tab.open(address)
    tab.wait(LOADED)
    search(tab, "nobody at all")
    tab.wait("!!document.querySelector('.notices .bad')")
    assert "nobody at all" in tab.text(".notices")
    tab.errors[:] = [error for error in tab.errors if "404" not in error]


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_read_in_light_and_dark(tab: Tab, address: str, dark: bool) -> None:
    tab.open(address, dark=dark)
    tab.wait(LOADED)
    style = "getComputedStyle(document.documentElement).getPropertyValue"
    colours = {
        name: tab.run(f"{style.replace('.getPropertyValue', '')}.getPropertyValue('--{name}').trim()")
        for name in (
            "ink",
            "soft",
            "now",
            "second",
            "bad",
            "page",
            "card",
            "map",
            "tint",
            "bad-soft",
            "on-now",
        )
    }
    pairs = [("ink", "page"), ("ink", "card"), ("ink", "tint"), ("soft", "page"), ("soft", "card")]
    pairs += [("soft", "tint"), ("bad", "bad-soft"), ("bad", "card"), ("on-now", "now")]
    for text, behind in pairs:
        assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind, colours)
    for mark in ("ink", "now", "second"):
        assert contrast(colours[mark], colours["map"]) >= 3, (mark, colours)


def contrast(one: str, other: str) -> float:
    """Ratio of luminances, as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        channels = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (860, 900), (360, 700)])
def test_nothing_is_wider_than_the_window(tab: Tab, address: str, width: int, height: int) -> None:
    tab.open(address, width, height)
    tab.wait(LOADED)
    search(tab, "item-0009")
    tab.wait(f"{HEADING} === 'Item 9'")
    assert tab.run("document.documentElement.scrollWidth") <= width
    beyond = "[...document.querySelectorAll('button, input, select, h2, dd')].filter(e => e.offsetParent &&"
    beyond += f" e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML)"
    assert tab.run(beyond) == []


def test_a_new_bundle_is_shown_and_what_was_looked_at_stays(tab: Tab, tmp_path: Path) -> None:
    root = tmp_path / "published"
    old = publish(root)
    with service(root) as url:
        tab.open(url)
        tab.wait(LOADED)
        search(tab, "item-0005")
        tab.wait(f"{HEADING} === 'Item 5'")
        assert tab.run(NEIGHBOURS) == old.neighbours("item-0005", 12).ids
        new = publish(root, rows=150, seed=9)
        tab.wait("document.querySelector('header .chip').innerText.endsWith('150 items')")
        expected = json.dumps(new.neighbours("item-0005", 12).ids, separators=(",", ":"))
        tab.wait(f"JSON.stringify({NEIGHBOURS}) === {json.dumps(expected)}")
        assert "now has bundle" in tab.text(".notices")


def test_a_token_is_asked_for_once_and_kept(tab: Tab, bundle: Bundle, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("the-right-token-of-all\n")
    with service(bundle.path.parent, token_file=tokens) as url:
        tab.open(url)
        tab.wait("!!document.querySelector('dialog[open]')")
        tab.type("a-wrong-one")
        tab.press("Enter")
        tab.wait("document.querySelector('dialog')?.innerText.includes('refused')")
        tab.type("the-right-token-of-all")
        tab.press("Enter")
        tab.wait(LOADED)
        tab.open(url)
        tab.wait(LOADED)
        assert not tab.run("!!document.querySelector('dialog')")
    tab.errors[:] = [error for error in tab.errors if "401" not in error]


def test_a_service_that_stops_is_missed_and_found_again(tab: Tab, tmp_path: Path) -> None:
    root = tmp_path / "published"
    publish(root)
    with service(root) as url:
        tab.open(url)
        tab.wait(LOADED)
    tab.wait("document.querySelector('.notices').innerText.includes('does not answer')")
    assert tab.run(LOADED), "the map went away with the service"
    search(tab, "item-0008")
    with service(root, port=int(url.rstrip("/").rpartition(":")[2])):
        search(tab, "item-0008")
        tab.wait(f"{HEADING} === 'Item 8'")
        assert tab.text(".notices") == ""
    tab.errors[:] = [error for error in tab.errors if "ERR_CONNECTION" not in error]


def test_without_a_bundle_the_page_says_what_to_do(tab: Tab, tmp_path: Path) -> None:
    root = tmp_path / "published"
    root.mkdir()
    with service(root, wait=True) as url:
        tab.open(url)
        tab.wait("document.querySelector('.cover')?.innerText.includes('Nothing to show yet')")
        assert "streamrec run" in tab.text(".cover")
        publish(root)
        tab.wait(LOADED)
    tab.errors[:] = [error for error in tab.errors if "503" not in error and "ERR_CONNECTION" not in error]
