// The page of many runs.
const RUNS = DATA.runs;
const METHODS = [...new Set(RUNS.map((r) => r.method).filter((m) => m !== null))];
const graded = (rows) => rows.filter((r) => r.score !== null);
const sum = (rows, key) => rows.reduce((total, r) => total + (r[key] || 0), 0);
const median = (values) => { const v = [...values].sort((a, b) => a - b), n = v.length; return n ? (v[(n - 1) >> 1] + v[n >> 1]) / 2 : null; };

// The 95 % interval of a share (Wilson).
function interval(right, n) {
  const z = 1.96, p = right / n, middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function header() {
  const scored = graded(RUNS), right = sum(scored, "score"), known = RUNS.filter((r) => r.cost_usd !== null);
  const answered = RUNS.filter((r) => r.answered).length;
  const cost = sum(known, "cost_usd"), share = sum(known, "router_usd") / cost;
  return h("header", {}, h("h1", {}, DATA.title), h("p", { class: "muted small" }, `${count(RUNS.length, "run")}, ${answered} answered`),
    h("div", { class: "tiles" }, tile(RUNS.length.toLocaleString("en"), RUNS.length === 1 ? "run" : "runs"),
      tile(scored.length ? percent(right / scored.length) : percent(answered / RUNS.length), scored.length ? "right" : "answered"),
      tile(usd(cost), known.length < RUNS.length ? `USD, ${RUNS.length - known.length} unknown` : "USD"), tile(usd(median(known.map((r) => r.cost_usd))), "USD, median run"),
      tile(seconds(median(RUNS.map((r) => r.wall_s))), "wall time, median run"), tile(percent(share) || "\u2013", "of it the router")));
}

const outcome = (r) => (r.score === null ? "ungraded" : r.score > 0 ? "right" : "wrong");

// Costs in bins of equal ratio, stacked by outcome.
function costView() {
  const rows = RUNS.filter((r) => r.cost_usd > 0);
  if (!rows.length) return h("p", { class: "muted" }, "No run has a known cost.");
  const logs = rows.map((r) => Math.log10(r.cost_usd)), bins = Math.min(24, Math.max(5, Math.ceil(Math.sqrt(rows.length))));
  let low = logs.reduce((a, b) => Math.min(a, b)), high = logs.reduce((a, b) => Math.max(a, b));
  if (high - low < 0.01) { low -= 0.15; high += 0.15; }
  const stacks = Array.from({ length: bins }, () => ({ right: 0, wrong: 0, ungraded: 0 }));
  rows.forEach((r, i) => stacks[Math.min(bins - 1, Math.floor(((logs[i] - low) / (high - low)) * bins))][outcome(r)]++);
  const most = Math.max(...stacks.map((b) => b.right + b.wrong + b.ungraded)), w = 520, tall = 150, step = (w - 44) / bins;
  const svg = s("svg", { width: w, height: tall + 44, viewBox: `0 0 ${w} ${tall + 44}`, role: "img", "aria-label": `Costs of ${rows.length} runs, from ${usd(10 ** low)} to ${usd(10 ** high)} USD` });
  for (const part of [0, 0.5, 1]) svg.append(s("line", { class: "grid", x1: 36, x2: w - 8, y1: 10 + tall * (1 - part), y2: 10 + tall * (1 - part) }), s("text", { class: "t-muted", x: 30, y: 14 + tall * (1 - part), "text-anchor": "end" }, Math.round(most * part)));
  stacks.forEach((bin, i) => {
    let y = 10 + tall;
    const from = usd(10 ** (low + ((high - low) * i) / bins)), to = usd(10 ** (low + ((high - low) * (i + 1)) / bins));
    for (const kind of ["right", "wrong", "ungraded"]) {
      const size = (tall * bin[kind]) / most;
      if (size) svg.append(s("rect", { class: "fill " + kind, x: 36 + i * step + 1, y: (y -= size), width: step - 2, height: size }, s("title", {}, `${from} to ${to} USD: ${bin[kind]} ${kind}`)));
    }
  });
  [0, 0.5, 1].forEach((part) => svg.append(s("text", { class: "t-muted", x: 36 + (w - 44) * part, y: tall + 26, "text-anchor": ["start", "middle", "end"][part * 2] }, usd(10 ** (low + (high - low) * part)))));
  svg.append(s("text", { class: "t-muted", x: 36 + (w - 44) / 2, y: tall + 40, "text-anchor": "middle" }, "USD per run, equal ratios"));
  return h("div", { class: "table" }, svg);
}

// How many were right, with the interval, per method; without grades how the runs ended.
function accuracyView() {
  const groups = METHODS.length > 1 ? METHODS.map((m) => [m, RUNS.filter((r) => r.method === m)]) : [["all runs", RUNS]];
  if (!graded(RUNS).length) {
    const ends = [...new Set(RUNS.map((r) => r.status))].map((status) => ({ status, n: RUNS.filter((r) => r.status === status).length }));
    return sortable([{ name: "how it ended", value: (r) => r.status, show: (r) => statusChip(r.status) }, { name: "runs", num: true, value: (r) => r.n },
      { name: "share", num: true, value: (r) => r.n / RUNS.length, show: (r) => percent(r.n / RUNS.length) }, { name: "", value: (r) => r.n, show: (r) => shareBar(r.n / RUNS.length, "MLM") }], ends, { sort: 1, down: true, label: "How runs ended" }).node;
  }
  const rows = groups.map(([name, runs]) => {
    const some = graded(runs), right = sum(some, "score"), [low, high] = some.length ? interval(right, some.length) : [0, 1];
    const costs = runs.filter((r) => r.cost_usd !== null);
    return { name, n: some.length, right, low, high, p: some.length ? right / some.length : null, cost: costs.length ? sum(costs, "cost_usd") / costs.length : null };
  });
  const dot = (r) => s("svg", { width: 140, height: 16, role: "img", "aria-label": `${percent(r.low)} to ${percent(r.high)}` },
    s("line", { class: "grid", x1: 5, x2: 135, y1: 8, y2: 8 }), s("rect", { class: "fill MLM", x: 5 + 130 * r.low, y: 5, width: Math.max(2, 130 * (r.high - r.low)), height: 6, rx: 3, opacity: 0.55 }), s("circle", { class: "fill LLM", cx: 5 + 130 * (r.p || 0), cy: 8, r: 4 }));
  return sortable([{ name: "method", value: (r) => r.name }, { name: "graded", num: true, value: (r) => r.n }, { name: "right", num: true, value: (r) => r.p, show: (r) => percent(r.p) },
    { name: "95 %", num: true, value: (r) => r.low, show: (r) => `${(100 * r.low).toFixed(1)} to ${(100 * r.high).toFixed(1)}` }, { name: "0 to 100 %", value: (r) => r.p, show: dot },
    { name: "USD per run", num: true, value: (r) => r.cost, show: (r) => usd(r.cost) }], rows, { sort: 2, down: true, size: 50, label: "Accuracy" }).node;
}

function modelsView() {
  const calls = sum(DATA.models, "calls"), cost = sum(DATA.models, "cost_usd");
  const part = (m) => (m.cost_usd === null || !cost ? null : m.cost_usd / cost), kind = (m) => (m.group ? groupOf(m.group) : "router");
  return sortable([{ name: "model", value: (m) => m.name, show: (m) => (m.group ? chip(m.name, groupOf(m.group)) : m.name) },
    { name: "calls", num: true, value: (m) => m.calls }, { name: "of all calls", num: true, value: (m) => m.calls / calls, show: (m) => percent(m.calls / calls) },
    { name: "", value: (m) => m.calls, show: (m) => shareBar(m.calls / calls, kind(m)) }, { name: "USD", num: true, value: (m) => m.cost_usd, show: (m) => usd(m.cost_usd) },
    { name: "of all cost", num: true, value: part, show: (m) => percent(part(m)) }, { name: "", value: part, show: (m) => shareBar(part(m), kind(m)) }],
  DATA.models, { sort: 4, down: true, label: "Share per model" }).node;
}

function runsView() {
  const number = (name, key, show) => ({ name, num: true, value: (r) => r[key], show: (r) => (show ? show(r[key]) : r[key]) });
  const sign = (kind, key) => number(SIGNS[kind], key, (n) => (n ? h("span", { class: CLASSES[kind] }, n) : "0"));
  const columns = [{ name: "run", value: (r) => r.id, show: (r) => (r.href ? h("a", { href: r.href, title: r.id }, r.id) : r.id) }, { name: "query", text: true, value: (r) => r.query, show: (r) => h("div", { class: "clamp wide", title: r.query }, r.query) },
    { name: "answer", text: true, value: (r) => r.answer || "", show: (r) => h("div", { class: "clamp", title: r.answer }, r.answer || "") }, { name: "status", value: (r) => r.status, show: (r) => statusChip(r.status) },
    number("USD", "cost_usd", usd), number("time", "wall_s", seconds), number("subtasks", "subtasks"), number("calls", "calls"),
    sign("upward", "up"), sign("downward", "down"), sign("replan", "replan"), number("router", "router_share", percent)];
  if (graded(RUNS).length) columns.splice(4, 0, { name: "grade", value: (r) => r.score, show: (r) => (r.score === null ? "" : chip(outcome(r), r.score > 0 ? "ok" : "bad")) });
  if (METHODS.length) columns.splice(1, 0, { name: "method", value: (r) => r.method, show: (r) => chip(r.method) });
  const table = sortable(columns, RUNS, { size: 50, label: "Runs" });
  const search = h("input", { type: "search", placeholder: "Filter runs", "aria-label": "Filter runs", oninput: () => {
    const asked = search.value.toLowerCase();
    table.filter((r) => [r.id, r.method, r.query, r.answer, r.status, r.score === null ? "" : outcome(r)].some((text) => (text || "").toLowerCase().includes(asked)));
  } });
  return [h("div", { class: "head" }, search), table.node];
}

document.getElementById("page").append(header(),
  h("div", { class: "grid2" }, section("Cost", h("div", { class: "legend" }, graded(RUNS).length ? [h("span", { class: "down" }, "\u25a0 right"), h("span", { class: "up" }, "\u25a0 wrong")] : null), costView()), section(graded(RUNS).length ? "Accuracy" : "Outcomes", accuracyView())),
  section("Share per model", modelsView()), section("Runs", ...runsView()));
document.documentElement.dataset.ready = Math.round(performance.now() - BEGAN);
