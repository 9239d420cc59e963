"use strict";
(() => {
  const { strings, steps, scale } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  if (steps.length === 0) return;
  const total = steps.reduce((sum, step) => sum + step[1], 0) || 1;
  const starts = [];
  let tokens = 0;
  for (const step of steps) {
    starts.push((scale * tokens) / total);
    tokens += step[1];
  }
  const end = (at) => (at + 1 < starts.length ? starts[at + 1] : scale);
  const number = new Intl.NumberFormat("en");
  let now = -1;

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };

  // A line is the number of one that stayed, or [sign, text, changed, text, changed, …].
  const drawn = (line) => {
    if (typeof line === "number") return element("p", strings[line]);
    const [sign, ...runs] = line;
    const made = element("p", "", sign === "+" ? "new" : "gone");
    const whole = runs.length === 2;
    for (let at = 0; at < runs.length; at += 2) {
      const marked = sign === "-" || whole || runs[at + 1];
      made.append(marked ? element(sign === "-" ? "del" : "ins", runs[at]) : runs[at]);
    }
    return made;
  };

  const show = (at, remember = true) => {
    at = Math.max(0, Math.min(steps.length - 1, at));
    if (at === now) return;
    now = at;
    const [place, size, added, dropped, outcome, reason, lines] = steps[at];
    const segment = `Segment ${number.format(at + 1)} of ${number.format(steps.length)}`;
    $("place").textContent = place || segment;
    const changed = outcome === "kept" ? `memory kept${reason ? `: ${reason}` : ""}`
      : added || dropped ? `+${added} −${dropped} words` : "unchanged";
    $("facts").textContent = [place ? segment : "", `${number.format(size)} tokens`, changed].filter(Boolean).join(" · ");
    const shown = lines.map(drawn);
    $("memory").replaceChildren(...(shown.length ? shown : [element("p", "nothing noted yet", "quiet")]));
    $("slider").value = at + 1;
    $("slider").setAttribute("aria-valuetext", place ? `${segment}, ${place}` : segment);
    $("first").disabled = $("before").disabled = at === 0;
    $("last").disabled = $("after").disabled = at === steps.length - 1;
    $("cursor").style.left = `${100 * starts[at]}%`;
    $("cursor").style.width = `${100 * (end(at) - starts[at])}%`;
    if (remember) history.replaceState(null, "", `#s${at + 1}`);
  };

  const named = () => {
    const found = /^#s(\d+)$/.exec(location.hash);
    return found ? Number(found[1]) - 1 : -1;
  };
  const move = { first: () => 0, before: () => now - 1, after: () => now + 1, last: () => steps.length - 1 };
  for (const [id, to] of Object.entries(move)) $(id).addEventListener("click", () => show(to()));
  $("slider").addEventListener("input", () => show(Number($("slider").value) - 1));

  const pointed = (event) => {
    const box = $("strip").getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width;
    let low = 0;
    for (let high = starts.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= at) low = middle;
      else high = middle;
    }
    show(low);
  };
  $("strip").addEventListener("pointerdown", (event) => {
    $("strip").setPointerCapture(event.pointerId);
    pointed(event);
  });
  $("strip").addEventListener("pointermove", (event) => {
    if (event.buttons) pointed(event);
  });

  // With Shift, to where the memory changed next: most segments of a long text change nothing.
  const changed = (way) => {
    let at = now + way;
    while (at > 0 && at < steps.length - 1 && !steps[at][2] && !steps[at][3]) at += way;
    return at;
  };
  const keys = { ArrowLeft: "before", ArrowRight: "after", Home: "first", End: "last" };
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !keys[event.key]) return;
    event.preventDefault();
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    show(event.shiftKey && way ? changed(way) : move[keys[event.key]]());
  });
  addEventListener("hashchange", () => {
    if (named() < 0) return;
    show(named(), false);
    $("memories").scrollIntoView({ block: "start" });
  });

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });

  document.body.classList.add("live");
  $("controls").hidden = $("cursor").hidden = false;
  show(named() >= 0 ? named() : steps.length - 1, false);
})();
