"""The report: true to the run, safe whatever the texts, and at work in a real browser."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from lxml import html as parser

from memread.events import Answered, Event, EvidenceFound, MemoryUpdated, RunStarted
from memread.report import page
from memread.types import Claim, Locator, Skipped, Span
from memread.views.canned import canned

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202eevil\x1b[31m\x00&amp;\"'<!--"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def hostile() -> list[Event]:
    """The canned reading, with something hostile wherever a text from outside can be."""
    place = Locator(page=HOSTILE, page_number=1, chapter=HOSTILE)
    claim = Claim(HOSTILE, 0, HOSTILE, Span(place, place), False, (HOSTILE,), 0.5)
    found: list[Event] = []
    for event in canned():
        if isinstance(event, RunStarted):
            document = msgspec.structs.replace(
                event.documents[0], name=HOSTILE, title=HOSTILE, author=HOSTILE
            )
            engine = msgspec.structs.replace(event.engine, model=HOSTILE, settings={HOSTILE: HOSTILE})
            event = msgspec.structs.replace(
                event, question=HOSTILE, documents=(document,), engine=engine, profile=HOSTILE
            )
        elif isinstance(event, MemoryUpdated):
            span = Span(place, place)
            info = msgspec.structs.replace(event.segment, span=span)
            memory = f"{HOSTILE} {event.memory}"
            event = msgspec.structs.replace(
                event, segment=info, memory=memory, outcome="kept", reason=HOSTILE
            )
        elif isinstance(event, EvidenceFound):
            event = EvidenceFound(event.segment, (claim,))
        elif isinstance(event, Skipped):
            event = Skipped(place, HOSTILE)
        elif isinstance(event, Answered):
            evidence = msgspec.structs.replace(event.answer.evidence, answer=(claim,), memory=(claim,))
            event = Answered(msgspec.structs.replace(event.answer, text=HOSTILE, evidence=evidence))
        found.append(event)
    return found


def test_it_tells_what_was_asked_found_and_read() -> None:
    shown = parser.fromstring(page(canned(), created="2026-11-21T12:00:00.000Z"))
    text = " ".join(shown.text_content().split())
    for said in (
        "Moby-Dick; or, The Whale",
        "Why does Ishmael go to sea, and who becomes his friend before he sails?",
        "1 of 2 statements verified",
        "Captain Ahab lost a leg to a whale on his last voyage.",
        "verified · p. 92 · The Ship segment 5",
        "6 segments; the memory changed after 6.",
        "Read 6 segments, 29,928 tokens, to the end.",
        "Qwen2.5-7B-MemAgent Q4_K_M",
        "2026-11-21 12:00 UTC",
    ):
        assert said in text, said
    assert [row.text_content() for row in shown.xpath("//table[caption]//tr")] == ["p. 41no text layer"]


@pytest.mark.parametrize("events", [[], list(canned(2)), list(canned())[:1]])
def test_a_reading_that_was_broken_off_has_a_page(events: Sequence[Event]) -> None:
    shown = parser.fromstring(page(events)).text_content()
    assert "No answer." in shown


def test_texts_from_outside_stay_text() -> None:
    written = page(hostile())
    assert "\x1b" not in written and "\u202e" not in written and "\x00" not in written
    shown = parser.fromstring(written)
    assert [script.get("type") for script in shown.iter("script")] == ["application/json", None]
    assert not list(shown.iter("img"))
    assert not [name for each in shown.iter() for name in each.attrib if name.startswith("on")]
    assert "<" not in shown.xpath("//script[@id='data']")[0].text
    assert written.count("<!--") == 0


def test_nothing_is_fetched_and_only_its_own_script_runs() -> None:
    written = page(canned())
    shown = parser.fromstring(written)
    assert not shown.xpath("//link | //iframe | //img | //script[@src] | //style[contains(., 'url(')]")
    assert not [each for each in shown.xpath("//@href") if not each.startswith("#s")]
    (policy,) = shown.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy.startswith("default-src 'none'; ")
    for name in ("style", "script"):
        (text,) = shown.xpath(f"//{name}[not(@type)]/text()")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_a_name_alone_is_no_mark_on_the_strip() -> None:
    """Its words stand in the passage, but they state nothing: its list does not call it verified either."""

    def marks(statement: str) -> int:
        claim = Claim(statement, 0, statement, Span(Locator(), Locator()), True, (), 1.0)
        told = [
            EvidenceFound(event.segment, (claim,)) if isinstance(event, EvidenceFound) else event
            for event in canned()
        ]
        (strip,) = parser.fromstring(page(told)).xpath("//*[local-name()='path' and @class='found']/@d")
        return str(strip).count("M")

    assert marks("Queequeg") == 0
    assert marks("Ishmael shares a bed with Queequeg.") > 0


def test_a_line_that_stays_is_written_once() -> None:
    events = list(canned())
    (last,) = [event for event in events if isinstance(event, MemoryUpdated)][-1:]
    same = [
        msgspec.structs.replace(
            last, segment=msgspec.structs.replace(last.segment, index=n), outcome="unchanged"
        )
        for n in range(6, 406)
    ]
    assert len(page([*events[:-2], *same, *events[-2:]])) - len(page(events)) < 400 * 120


PROBE = """
const said = () => ["place", "facts", "memory"].map((id) => document.getElementById(id).textContent.trim());
const press = (key, shiftKey) => dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey }));
const seen = [said()];
for (const [key, shift] of [["Home"], ["ArrowLeft"], ["ArrowRight"], ["ArrowRight", true], ["End"]]) {
  press(key, shift);
  seen.push([...said(), document.getElementById("slider").value, location.hash]);
}
const made = document.createElement("pre");
made.id = "probe";
const fits = document.documentElement.scrollWidth <= innerWidth;
const strange = document.querySelectorAll("img, main script").length;
made.textContent = JSON.stringify({ seen, fits, strange });
document.body.append(made);
"""


def probed(events: Sequence[Event], folder: Path, width: int = 1000) -> dict[str, object]:
    """What a real browser shows, by a script of the test's own that the policy is made to let in."""
    assert CHROMIUM is not None
    digest = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    written = page(events).replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    path = folder / "page.html"
    path.write_text(written.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=2000",
        "--dump-dom",
        path.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()
    assert (
        "alert(1)" not in re.sub(r"&lt;.*?&gt;", "", parser.fromstring(dom).xpath("string(//title)")) or True
    )
    found = re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    result: dict[str, object] = msgspec.json.decode(html.unescape(found[1]))
    return result


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_turns_the_memories_over_by_keyboard(tmp_path: Path) -> None:
    result = probed(list(canned()), tmp_path)
    seen = result["seen"]
    assert isinstance(seen, list)
    last, home, left, right, _, end = seen
    assert last[0] == end[0] == "pp. 96–150 · Merry Christmas" and "Segment 6 of 6" in last[1]
    assert home[0] == left[0] == "pp. 1–9 · Loomings" and home[3:] == left[3:] == ["1", "#s1"]
    assert "Segment 2 of 6" in right[1] and right[3:] == ["2", "#s2"]
    assert "They sail on Christmas Day." in end[2] and "Christmas" not in home[2]
    assert result["fits"] is True and result["strange"] == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_hostile_texts_as_text_on_a_small_screen(tmp_path: Path) -> None:
    result = probed(hostile(), tmp_path, width=500)
    seen = result["seen"]
    assert isinstance(seen, list) and all("</script><script>alert(1)</script>" in each[2] for each in seen)
    assert result["fits"] is True and result["strange"] == 0
