"""The page in a real browser: it opens, sorts, filters, complains of nothing, asks for nothing, and obeys no name."""

import re
import shutil
from pathlib import Path

import expclip
import pytest
from evaluations_by_hand import CLASSES, evaluation, manifest, write_evaluation

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><a href=https://evil.example>\u202e"

playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a file, and sees to it at the end that nothing was complained of and nothing was asked for."""
    contexts, wrong = [], []

    def opened(path: Path, **how):
        contexts.append(browser.new_context(**how))
        page = contexts[-1].new_page()
        page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if asked.url != path.as_uri() else None)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [one for one in wrong if not one.startswith("data:")] == []


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The page of two data sets."""
    folder = tmp_path_factory.mktemp("page")
    found = evaluation([manifest("raf-db", 80), manifest("mafw", 90)], heads=3, seeds=2, prompts=("P-1", "P-3"))
    expclip.report(write_evaluation(folder / "results", found), out=folder / "r.html")
    return folder / "r.html"


def column(page, grid: str, title: str) -> list[str]:
    """The cells of a column as they are shown."""
    table = page.locator(f"table[data-grid={grid}]")
    titles = [one.strip() for one in table.locator("thead th").all_inner_texts()]
    return table.locator(f"tbody td:nth-child({titles.index(title) + 1})").all_inner_texts()


def choose(page, grid: str, title: str, value: str) -> None:
    page.locator(f".filters[data-for={grid}] label", has_text=title).locator("select").select_option(value)


def test_scores_are_sorted_with_the_mouse_and_with_the_keyboard(report, open_page):
    page = open_page(report)
    before = column(page, "scores", "UAR")
    head = page.locator("table[data-grid=scores] thead th", has_text=re.compile("^UAR$"))
    head.click()
    page.wait_for_selector("th[aria-sort=ascending]")
    rising = [float(one) for one in column(page, "scores", "UAR")]
    assert rising == sorted(rising)
    assert sorted(map(float, before)) != list(map(float, before))
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("th[aria-sort=descending]")
    falling = [float(one) for one in column(page, "scores", "UAR")]
    assert falling == sorted(falling, reverse=True)
    assert page.locator("td.best").first.evaluate("cell => getComputedStyle(cell).fontWeight") == "800"


def test_scores_are_filtered_by_what_is_chosen_and_by_what_is_typed(report, open_page):
    page = open_page(report)
    choose(page, "scores", "data set", "mafw")
    choose(page, "scores", "prompts", "P-3")
    assert set(column(page, "scores", "data set")) == {"mafw"}
    assert set(column(page, "scores", "prompts")) == {"P-3"}
    page.locator("#scores input[type=search]").fill("plain")
    assert column(page, "scores", "head") == ["plain CLIP"]


def test_samples_are_filtered_by_what_a_head_did_to_them(report, open_page):
    page = open_page(report)
    for change in ("broken", "repaired"):
        choose(page, "samples", "change", change)
        assert set(column(page, "samples", "change")) == {change}
        truth, now = (column(page, "samples", one) for one in ("true", "with the head"))
        assert {a == b for a, b in zip(truth, now, strict=True)} == {change == "repaired"}


def test_the_charts_and_matrices_are_those_of_the_chosen_data_set(report, open_page):
    page = open_page(report)
    for name in ("mafw", "raf-db"):
        page.get_by_label("Data set and backbone").select_option(f"{name} · ViT-L-14")
        shown = page.locator("article:visible")
        assert shown.locator("h3").inner_text() == f"{name} · ViT-L-14"
        assert shown.locator(".chart svg.main-svg").count() >= 4
        assert shown.locator("table.matrix").count() == 4
        assert shown.locator("table.matrix").first.locator("tbody tr").count() == len(CLASSES)


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_and_its_texts_stand_out(report, open_page, width, scheme):
    page = open_page(report, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    texts = ("body", ".quiet", "a[href='#samples']", ".matrix .diagonal", "table[data-grid=scores] tbody td")
    for text in texts:
        assert contrast(page, text) >= 4.5, text
    for k in range(4):
        assert contrast(page, f".mark.c{k}") >= 3


CONTRAST = """place => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const light = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const part = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const under = [];
  for (let one = place; one; one = one.parentElement) under.unshift(getComputedStyle(one).backgroundColor);
  const [a, b] = [light(...under), light(...under, getComputedStyle(place).color)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""
"""Of a text and what is behind it. Source: WCAG 2.2, contrast ratio."""


def contrast(page, selector: str) -> float:
    return page.locator(selector).first.evaluate(CONTRAST)


def test_everything_is_reached_by_the_keyboard(report, open_page):
    page = open_page(report)
    met = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "document.activeElement.closest('[data-grid],.filters,#chooser,summary,nav')?.outerHTML"
        )
        met.add((where or "").partition(">")[0])
        if len(met) > 1 and page.evaluate("document.activeElement === document.body"):
            break
    said = " ".join(met)
    for one in ('data-grid="scores"', 'data-grid="samples"', 'data-for="scores"', "chooser", "summary", "nav"):
        assert one in said


def test_names_do_nothing(open_page, tmp_path):
    of = manifest(HOSTILE, 40, [f"{HOSTILE}{k}" for k in range(3)], [f"{k}{HOSTILE}" for k in range(40)])
    expclip.report(write_evaluation(tmp_path / "results", evaluation([of])), out=tmp_path / "r.html")
    page = open_page(tmp_path / "r.html")
    for summary in page.locator("article summary").all():
        summary.click()
    page.locator(".chart .nsewdrag").first.hover()
    page.locator(".filters select").last.select_option(index=1)
    assert page.title() == "Evaluation results"
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("a[href*=evil]").count() == 0
    assert page.locator("svg a").count() == 0


def test_a_script_that_is_not_the_pages_own_does_not_run(report, browser, tmp_path):
    text = report.read_text(encoding="utf-8").replace("</main>", "<script>document.title = 'owned'</script></main>")
    (tmp_path / "changed.html").write_text(text, encoding="utf-8")
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((tmp_path / "changed.html").as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        assert page.title() == "Evaluation results"


def test_a_page_of_two_thousand_scores_and_forty_thousand_samples_opens(open_page, tmp_path):
    sets = [manifest(f"set-{k}", 5350, ids=[f"clips/part {k}/{n:06d}.mp4" for n in range(5350)]) for k in range(8)]
    how = {"heads": 6, "seeds": 3, "prompts": [f"P-{k}" for k in range(1, 6)], "backbones": ("B-32", "B-16", "L-14")}
    folder = write_evaluation(tmp_path / "out", evaluation(sets, **how, predicted=4))
    expclip.report(folder, out=tmp_path / "r.html")
    page = open_page(tmp_path / "r.html")
    assert "2,280 entries" in page.locator("#scores").inner_text()
    assert "42,800 entries" in page.locator("#samples").inner_text()
