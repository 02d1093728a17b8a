// The page of one run.
const NODES = DATA.nodes, ATTEMPTS = DATA.attempts, BY_ID = new Map(NODES.map((n) => [n.id, n]));
const ROUTER = ["decomposer", "allocator", "evaluator"];
const MANY = NODES.length > 120;
const views = [];

function select(id) {
  for (const view of views) view(id);
}

// Scrolls a pane so far that a place in it shows; the page stays where it is.
function reveal(pane, x, y) {
  if (!pane.isConnected) return;
  if (x < pane.scrollLeft || x > pane.scrollLeft + pane.clientWidth - 60) pane.scrollLeft = Math.max(0, x - pane.clientWidth / 3);
  if (y < pane.scrollTop + 20 || y > pane.scrollTop + pane.clientHeight - 30) pane.scrollTop = Math.max(0, y - pane.clientHeight / 3);
}

function header() {
  const bill = DATA.bill;
  const moves = (kind) => DATA.moves.filter((m) => m.kind === kind).length;
  const changed = h("div", { class: "tile" },
    h("b", {}, h("span", { class: "up" }, "\u2191" + moves("upward")), " ", h("span", { class: "down" }, "\u2193" + moves("downward")), " ",
      h("span", { class: "replan" }, "\u21c4" + moves("replan"))),
    h("span", {}, "up, down, replanned"));
  const query = DATA.query.length > 400
    ? h("details", {}, h("summary", {}, h("h1", {}, DATA.query.slice(0, 240) + "\u2026")), h("pre", {}, DATA.query))
    : h("h1", {}, DATA.query);
  return h("header", {}, query,
    h("p", { class: "muted small" }, statusChip(DATA.status), DATA.approval ? [" ", chip(`plan ${words(DATA.approval)}`, DATA.approval === "rejected" ? "bad" : "ok")] : null, ` run ${DATA.id}`, DATA.started ? ` \u00b7 ${DATA.started}` : ""),
    h("p", { class: "answer" }, h("b", {}, "Answer: "), DATA.answer === null ? "none" : DATA.answer),
    DATA.error ? h("p", { class: "muted" }, DATA.error) : null,
    h("div", { class: "tiles" }, tile(usd(DATA.cost_usd), "USD"), tile(seconds(DATA.wall_s), "wall time"),
      tile(bill.calls, "calls"), tile((bill.input_tokens + bill.output_tokens).toLocaleString("en"), "tokens"),
      tile(percent(bill.router_share) || "\u2013", "of it the router"), changed));
}

const legend = (...more) => h("div", { class: "legend" },
  ...["SLM", "MLM", "LLM"].map((g) => h("span", {}, h("i", { class: g }), g)),
  h("span", { class: "up" }, "\u2191 upward"), h("span", { class: "down" }, "\u2193 downward"), h("span", { class: "replan" }, "\u21c4 replan"),
  h("span", {}, h("i", { class: "critical" }), "critical path"), ...more);

function curve(points) {
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (let i = 1; i < points.length; i++) {
    const [x, y] = points[i], [a, b] = points[i - 1], middle = (a + x) / 2;
    path += `C${middle} ${b} ${middle} ${y} ${x} ${y}`;
  }
  return path;
}
const tip = (x, y, dx, dy, kind) => s("path", { class: "tip " + kind,
  d: dx ? `M${x} ${y}l${-6 * dx} -3.5v7z` : `M${x} ${y}l-3.5 ${-6 * dy}h7z` });

function planView() {
  const box = MANY ? { w: 52, h: 20, x: 92, y: 27 } : { w: 196, h: 64, x: 256, y: 80 };
  const left = (layer) => 14 + layer * box.x, middle = (row) => 14 + (row - 0.5) * box.y + box.h / 2;
  const right = Math.max(0, ...NODES.map((n) => left(n.layer))) + box.w + 14;
  const bottom = Math.max(0, ...NODES.map((n) => middle(n.row))) + box.h / 2 + 14;
  const edges = s("g"), boxes = s("g"), elements = new Map(), items = [], move = roving();
  for (const node of NODES) {
    node.after.forEach((id, i) => {
      const from = BY_ID.get(id);
      const replan = id === node.parent, critical = from.critical && node.critical;
      const kind = replan ? "replan" : critical ? "critical" : "plain";
      const end = [left(node.layer), middle(node.row)];
      const bends = node.bends[i].flatMap(([l, r]) => [[left(l), middle(r)], [left(l) + box.w, middle(r)]]);
      const points = [[left(from.layer) + box.w, middle(from.row)], ...bends, [end[0] - 5, end[1]]], rows = points.map((point) => point[1]);
      items.push({ x: points[0][0], right: end[0], y: Math.min(...rows), bottom: Math.max(...rows),
        draw: () => edges.append(s("path", { class: "edge " + kind, d: curve(points) }), tip(end[0], end[1], 1, 0, kind)) });
    });
    const x = left(node.layer), y = middle(node.row) - box.h / 2;
    items.push({ x, y, right: x + box.w, bottom: y + box.h, draw: () => drawn(node.id) });
  }
  function drawn(id) {
    if (!elements.has(id)) {
      const node = BY_ID.get(id), element = nodeBox(node, left(node.layer), middle(node.row) - box.h / 2, box);
      elements.set(id, element);
      boxes.append(element);
    }
    return elements.get(id);
  }
  const svg = s("svg", { width: right, height: bottom, viewBox: `0 0 ${right} ${bottom}`, role: "group", "aria-label": "Plan: use the arrow keys" }, edges, boxes);
  const pane = h("div", { class: "scroll" }, svg);
  boxes.addEventListener("pointerover", (event) => {  // of a thousand tool tips, few are read
    const element = event.target.closest(".node");
    if (element && !element.querySelector("title")) element.prepend(s("title", {}, element.getAttribute("aria-label")));
  });
  boxes.addEventListener("keydown", (event) => {
    const node = BY_ID.get(event.target.dataset.id);
    const next = node && { ArrowLeft: () => node.after[0], ArrowRight: () => (NODES.find((n) => n.after.includes(node.id)) || {}).id,
      ArrowUp: () => beside(node, -1), ArrowDown: () => beside(node, 1), Home: () => NODES[0].id, End: () => NODES.at(-1).id }[event.key];
    if (!next && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const id = next ? next() : node.id;
    if (id) { move(drawn(id)); select(id); }
  });
  let last = null;
  views.push((id) => {
    if (last) last.classList.remove("selected");
    last = BY_ID.has(id) ? drawn(id) : null;
    if (last) last.classList.add("selected");
    if (last) reveal(pane, left(BY_ID.get(id).layer) * scale, middle(BY_ID.get(id).row) * scale);
  });
  let scale = 1;
  const show = lazily(pane, items, () => scale);
  const zoom = (to) => {
    scale = Math.min(3, Math.max(0.1, to));
    svg.setAttribute("width", right * scale);
    svg.setAttribute("height", bottom * scale);
    show(false);
  };
  const room = document.getElementById("page").clientWidth - (innerWidth > 860 ? 436 : 62);
  zoom(room / right > 0.6 && room < right ? room / right : 1);
  if (!MANY) show(true);
  move(drawn(NODES[0].id), false);
  const buttons = h("span", {}, h("button", { "aria-label": "Smaller", onclick: () => zoom(scale / 1.25) }, "\u2212"), " ",
    h("button", { "aria-label": "Larger", onclick: () => zoom(scale * 1.25) }, "+"), " ",
    h("button", { onclick: () => zoom(Math.min(1, (pane.clientWidth - 2) / right)) }, "Fit"));
  return [h("div", { class: "head" }, legend(), buttons), h("div", { class: "split" }, pane, detailView())];
}

function beside(node, step) {
  const column = NODES.filter((n) => n.layer === node.layer).sort((a, b) => a.row - b.row);
  const next = column[column.indexOf(node) + step];
  return next && next.id;
}

function nodeBox(node, x, y, box) {
  const group = groupOf(node.group), failed = node.verdict && !node.verdict.accepted;
  const told = `${node.id}: ${node.text}\n${node.model || "not run"}${node.group ? " (" + node.group + ")" : ""}` +
    (node.confidence === null ? "" : `, confidence ${sure(node.confidence)}`) + (failed ? `\nnot accepted: ${words(node.verdict.reason)}` : "") +
    (node.moves.length ? "\n" + node.moves.map(words).join(", ") : "");
  const element = s("g", { class: `node ${group}${node.critical ? " critical" : ""}${failed ? " failed" : ""}`, role: "button", "data-id": node.id,
    tabindex: "-1", "aria-label": told, transform: `translate(${x} ${y})`, onclick: () => select(node.id) },
    MANY ? null : s("title", {}, told), s("rect", { class: "box", width: box.w, height: box.h, rx: 6 }));
  const signs = node.moves.filter((kind) => kind !== "not_replanned");
  if (MANY) {
    element.append(s("rect", { class: "fill", x: 3, y: 3, width: 7, height: box.h - 6, rx: 2 }), s("text", { x: 14, y: 14 }, fit(node.id, signs.length ? 26 : 36)));
    if (signs.length) element.append(s("text", { x: box.w - 11, y: 14, class: "t-" + CLASSES[signs.at(-1)] }, SIGNS[signs.at(-1)]));
    return element;
  }
  const model = fit(node.model || "not run", 106), pill = Math.max(34, width(model, "12px system-ui, \"DejaVu Sans\", sans-serif") + 14);
  element.append(
    s("text", { x: 10, y: 19 }, s("tspan", { class: "t-bold" }, node.id), "  " + fit(node.text, box.w - 34 - 7 * node.id.length)),
    s("rect", { class: "fill", x: 8, y: 28, width: pill, height: 17, rx: 8 }), s("text", { x: 15, y: 40.5, class: "t-" + group }, model),
    s("text", { x: box.w - 9, y: 40.5, "text-anchor": "end", class: "t-muted" }, sure(node.confidence)),
    s("text", { x: 10, y: 57.5, class: "t-bold" }, signs.slice(0, 8).map((kind) => s("tspan", { class: "t-" + CLASSES[kind] }, SIGNS[kind] + " "))),
    s("text", { x: box.w - 9, y: 57.5, "text-anchor": "end", class: "t-muted" }, failed ? words(node.verdict.reason) : usd(node.cost_usd) + " USD"));
  return element;
}

const whyOf = (move) => words(move.reason) + (move.approved ? ", approved by a person" : "");

function moveLine(move) {
  const to = move.to ? ` ${move.model || "?"} \u2192 ${move.to}` : move.model ? ` ${move.model}` : "";
  const told = move.confidence === null ? "" : `, confidence ${sure(move.confidence)}`;
  return h("span", {}, h("b", { class: CLASSES[move.kind] }, `${SIGNS[move.kind]} ${words(move.kind)}`), `${to}: ${whyOf(move)}${told}`);
}

function attemptView(row) {
  const verdict = row.verdict ? (row.verdict.accepted ? "accepted: " : "not accepted: ") + words(row.verdict.reason) : "";
  return h("div", {}, h("h3", {}, `${words(row.role)} `, chip(row.model, groupOf(row.group)), " ",
    h("span", { class: "muted small" }, words(row.direction))),
  h("p", { class: "muted small" }, [seconds(row.wall_s), `${row.input_tokens} + ${row.output_tokens} tokens`, usd(row.cost_usd) + " USD",
    row.confidence === null ? "" : `confidence ${sure(row.confidence)}${row.signal ? " (" + words(row.signal) + ")" : ""}`, verdict].filter(Boolean).join(" \u00b7 ")),
  row.error_type ? h("p", { class: "up" }, row.error_type) : null,
  ...(row.calls || []).map((use) => h("p", { class: "small" }, (row.role === "tool" ? "asked: " : "calls: ") + `${use.name}(${JSON.stringify(use.args)})`)),
  row.prompt ? h("details", {}, h("summary", {}, "Prompt"), h("pre", {}, row.prompt)) : null,
  row.answer === null ? null : h("details", {}, h("summary", {}, "Answer"), h("pre", {}, row.answer)));
}

function detailView() {
  const pane = h("div", { class: "detail", "aria-live": "polite", id: "detail" });
  const hint = h("p", { class: "muted" }, "Choose a subtask: click it, or go to the plan with Tab and use the arrow keys.");
  pane.append(hint);
  views.push((id) => {
    const node = BY_ID.get(id);
    const rows = node ? node.attempts.map((i) => ATTEMPTS[i]) : ATTEMPTS.filter((a) => a.subtask_id === null && a.role === id);
    if (!node) { pane.replaceChildren(h("h2", {}, words(id)), ...rows.map((row) => attemptView(row))); return; }
    const moves = DATA.moves.filter((m) => m.subtask_id === id);
    pane.replaceChildren(...[h("h2", {}, `Subtask ${node.id}`), h("p", {}, node.text),
      node.needs.length ? h("p", { class: "muted small" }, "needs " + node.needs.join(", ")) : null,
      h("p", {}, node.model ? chip(node.model, groupOf(node.group)) : "not run", " ",
        node.verdict ? chip((node.verdict.accepted ? "accepted: " : "not accepted: ") + words(node.verdict.reason), node.verdict.accepted ? "ok" : "warn") : null),
      node.answer ? h("p", {}, h("b", {}, "Answer: "), node.answer.length > 300 ? node.answer.slice(0, 300) + "\u2026" : node.answer) : null,
      node.resolved && node.resolved !== node.text ? h("details", {}, h("summary", {}, "With the answers put in"), h("pre", {}, node.resolved)) : null,
      ...moves.map((m) => h("p", { class: "small" }, moveLine(m))), ...rows.map((row) => attemptView(row))].filter(Boolean));
  });
  return pane;
}

function timelineView() {
  const timed = ATTEMPTS.filter((a) => a.start_s !== null);
  if (!timed.length) return [h("p", { class: "muted" }, "This record does not tell when its attempts were sent.")];
  const end = Math.max(DATA.wall_s || 0, ...timed.map((a) => a.end_s)) || 1e-9;
  const lanes = [];
  for (const role of ["decomposer", "allocator"]) lanes.push({ id: role, name: role, rows: timed.filter((a) => a.subtask_id === null && a.role === role) });
  for (const node of NODES) lanes.push({ id: node.id, name: `${node.id}  ${node.text}`, node, rows: node.attempts.map((i) => ATTEMPTS[i]).filter((a) => a.start_s !== null) });
  for (const role of ["evaluator", "aggregator", "executor"]) lanes.push({ id: role, name: role, rows: timed.filter((a) => a.subtask_id === null && a.role === role) });
  const used = lanes.filter((lane) => lane.rows.length || lane.node);
  const lane_h = MANY ? 14 : 26, bar_h = MANY ? 8 : 13, label = MANY ? 90 : 230, top = 26;
  const span = Math.max(620, document.getElementById("page").clientWidth - 78);
  const x = (t) => label + 10 + (span - label - 20) * (t / end), height = top + used.length * lane_h + 8;
  const svg = s("svg", { width: span, height, role: "group", "aria-label": "Timeline: use the arrow keys" });
  const step = nice(end / 6);
  for (let t = 0; t <= end * 1.0001; t += step) {
    svg.append(s("line", { class: "grid", x1: x(t), x2: x(t), y1: top - 4, y2: height }), s("text", { class: "t-muted", x: x(t), y: 14, "text-anchor": "middle" }, t ? seconds(t) : "0"));
  }
  const places = new Map(), body = s("g"), over = s("g", { "pointer-events": "none" }), elements = new Map();
  const move = roving(), items = [], order = used.map((lane) => lane.id);
  used.forEach((lane, i) => {
    const y = top + i * lane_h, middle = y + lane_h / 2 + (MANY ? 0 : 2);
    places.set(lane.id, { i, top: y, y: middle, lane, rows: lane.rows });
    items.push({ x: 0, right: span, y, bottom: y + lane_h, draw: () => drawn(lane.id) });
  });
  function drawn(id) {
    if (elements.has(id)) return elements.get(id);
    const { i, top: y, y: middle, lane } = places.get(id), critical = lane.node && lane.node.critical;
    const element = s("g", { class: i % 2 ? "lane" : "lane odd", role: "button", tabindex: "-1", "data-id": lane.id, "aria-label": `${lane.name}, ${count(lane.rows.length, "attempt")}`, onclick: () => select(lane.id) },
      s("rect", { class: "stripe", x: 0, y, width: span, height: lane_h }),
      s("text", { x: 8 + Math.min(4, lane.node ? lane.id.split(".").length - 1 : 0) * 12, y: middle + 4, class: critical ? "t-bold" : lane.node ? "" : "t-muted" }, fit(MANY ? lane.id : lane.name, label - 20)));
    lane.rows.forEach((row) => element.append(barView(row, x, middle, bar_h, critical)));
    elements.set(lane.id, element);
    body.append(element);
    over.append(...laneMoves(lane, x, middle, bar_h));
    return element;
  }
  for (const node of NODES) items.push(...crossings(node, places, x, over));
  svg.append(body, over);
  svg.addEventListener("keydown", (event) => {
    const at = order.indexOf(event.target.dataset.id), next = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: order.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); select(order[at]); }
    if (next === undefined || !order[next]) return;
    event.preventDefault();
    move(drawn(order[next]));
    select(order[next]);
  });
  let last = null;
  views.push((id) => {
    if (last) last.classList.remove("selected");
    last = places.has(id) ? drawn(id) : null;
    if (last) last.classList.add("selected");
    if (last) reveal(pane, 0, places.get(id).y);
  });
  const pane = h("div", { class: "scroll" }, svg);
  lazily(pane, items)(!MANY);
  if (order.length) move(drawn(order[0]), false);
  return [h("div", { class: "head" }, legend(h("span", {}, h("i", { class: "router" }), "router"))), pane];
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= step);
}

function barView(row, x, middle, size, critical) {
  const left = x(row.start_s), wide = Math.max(2, x(row.end_s) - left), kind = ROUTER.includes(row.role) ? "router" : groupOf(row.group);
  const rejected = row.error_type || (row.verdict && !row.verdict.accepted);
  const told = [`${row.role} ${row.model}: ${seconds(row.start_s) || 0} to ${seconds(row.end_s)}`, `${row.direction}: ${words(row.reason)}`,
    row.confidence === null ? "" : `confidence ${sure(row.confidence)}`, row.error_type || "", row.verdict ? (row.verdict.accepted ? "accepted" : "not accepted") : ""].filter(Boolean).join("\n");
  const bar = s("g", { class: `bar${rejected ? " rejected" : ""}${critical ? " critical" : ""}` }, MANY ? null : s("title", {}, told),
    s("rect", { class: "fill " + kind, x: left, y: middle - size / 2, width: wide, height: size, rx: 2 }));
  if (size > 10 && wide > 40) bar.append(s("text", { x: left + 5, y: middle + 4, class: "t-" + kind, "font-size": 11 }, fit(row.model, wide - 8)));
  return bar;
}

// The steps up and down within a lane, as arrows from the try before to the next one.
function laneMoves(lane, x, middle, size) {
  const tries = lane.rows.filter((row) => row.role === "executor"), drawn = [];
  tries.forEach((row, i) => {
    if (row.direction !== "upward" && row.direction !== "downward") return;
    const before = tries[i - 1];
    if (before && before.model === row.model) return;
    const up = row.direction === "upward", side = up ? -1 : 1, edge = middle + (side * size) / 2, to = x(row.start_s) + 2;
    const from = before ? Math.min(x((before.start_s + before.end_s) / 2), to - 10) : to, lift = edge + side * Math.min(7, size * 0.55);
    const told = `${words(row.direction)}: ${words(row.reason)}${before && before.confidence !== null ? ", confidence " + sure(before.confidence) : ""}`;
    drawn.push(s("path", { class: "arrow " + row.direction, d: `M${from} ${edge}C${from} ${lift + side} ${to} ${lift + side} ${to} ${edge}` }, s("title", {}, told)), tip(to, edge, 0, -side, row.direction));
  });
  return drawn;
}

// Arrows between lanes, as items: from a replanned subtask to its parts, and along the critical path.
function crossings(node, places, x, over) {
  const here = places.get(node.id), first = here && here.rows[0], items = [];
  if (!first) return items;
  for (const id of node.after) {
    const there = places.get(id), last = there && there.rows.at(-1), critical = node.critical && BY_ID.get(id).critical, replan = id === node.parent;
    if (!last || !(critical || replan)) continue;
    const from = x(last.end_s), to = x(first.start_s), side = here.y > there.y ? 1 : -1;
    const path = `M${from} ${there.y}C${from + 8} ${there.y} ${to - 8} ${here.y - 4 * side} ${to} ${here.y - 4 * side}`;
    items.push({ x: Math.min(from, to), right: Math.max(from, to), y: Math.min(there.y, here.y), bottom: Math.max(there.y, here.y), draw() {
      over.append(s("path", { class: replan ? "arrow replan" : "critical-link", d: path }));
      if (replan) over.append(tip(to + 1, here.y - 4 * side, 1, 0, "replan"));
    } });
  }
  return items;
}

function movesView() {
  if (!DATA.moves.length) return [h("p", { class: "muted" }, "Every subtask stayed with the model that it was allocated.")];
  const link = (m) => h("button", { onclick: () => { select(m.subtask_id); document.getElementById("detail").scrollIntoView({ block: "nearest" }); } }, m.subtask_id);
  return [sortable([
    { name: "at", num: true, value: (m) => m.at_s, show: (m) => (m.at ? seconds(m.at_s) : "") }, { name: "subtask", value: (m) => m.subtask_id, show: link },
    { name: "move", value: (m) => m.kind, show: (m) => h("b", { class: CLASSES[m.kind] }, `${SIGNS[m.kind]} ${words(m.kind)}`) },
    { name: "from", value: (m) => m.model }, { name: "to", value: (m) => m.to || (m.kind === "replan" ? "a plan of its own" : "") },
    { name: "reason", value: whyOf }, { name: "confidence before", num: true, value: (m) => m.confidence, show: (m) => sure(m.confidence) },
  ], DATA.moves, { size: 25, label: "Moves" }).node];
}

function billTable(parts, name) {
  const total = DATA.bill.cost_usd, share = (p) => (p.cost_usd === null || !total ? null : p.cost_usd / total);
  const kind = (p) => (ROUTER.includes(p.name) || (name === "model" && !p.group) ? "router" : name === "model" ? groupOf(p.group) : "MLM");
  return sortable([
    { name, value: (p) => p.name, show: (p) => (p.group && name === "model" ? chip(p.name, groupOf(p.group)) : p.name) }, { name: "calls", num: true, value: (p) => p.calls },
    { name: "in", num: true, value: (p) => p.input_tokens }, { name: "out", num: true, value: (p) => p.output_tokens },
    { name: "USD", num: true, value: (p) => p.cost_usd, show: (p) => usd(p.cost_usd) }, { name: "share", num: true, value: share, show: (p) => percent(share(p)) },
    { name: "", value: share, show: (p) => shareBar(share(p), kind(p)) },
  ], parts, { sort: 4, down: true, label: "Bill by " + name }).node;
}

function billView() {
  const routed = DATA.bill.router_share;
  return [h("p", {}, h("b", {}, usd(DATA.bill.cost_usd) + " USD"), routed === null ? "" : `, of it the router (decomposer, allocator, evaluator) ${percent(routed)}`),
    h("div", { class: "grid2" }, h("div", {}, billTable(DATA.bill.by_role, "role")), h("div", {}, billTable(DATA.bill.by_model, "model")))];
}

function routerView() {
  const rows = ATTEMPTS.filter((a) => a.subtask_id === null);
  const notes = [DATA.plan_confidence === null || DATA.plan_confidence === undefined ? "" : `Probability that the plan is right: ${sure(DATA.plan_confidence)}.`,
    DATA.allocation_note ? `Allocation: ${DATA.allocation_note}.` : "", ...DATA.plan_rejected.map((why) => `A plan was rejected: ${why}.`)].filter(Boolean);
  return [...notes.map((note) => h("p", {}, note)), rows.length ? h("details", { open: rows.length < 3 }, h("summary", {}, count(rows.length, "call") + " about the whole query"), ...rows.map((row) => attemptView(row))) : null];
}

document.getElementById("page").append(header(), section("Plan", ...(NODES.length ? planView() : [h("p", { class: "muted" }, "There is no plan."), detailView()])),
  section("Timeline", ...timelineView()), section("Moves", ...movesView()), section("Bill", ...billView()),
  ...(ATTEMPTS.some((a) => a.subtask_id === null) ? [section("Router", ...routerView().filter(Boolean))] : []));

if (NODES.length) select(((!MANY && NODES.find((n) => n.moves.length)) || NODES[0]).id);
document.documentElement.dataset.ready = Math.round(performance.now() - BEGAN);
