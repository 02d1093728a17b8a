"use strict";
// What both pages use. Texts reach the page as text nodes and attributes only, never as markup.
const BEGAN = performance.now();
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const PANE = 560;  // the height that the style gives to a pane at most
const SIGNS = { upward: "\u2191", downward: "\u2193", replan: "\u21c4", not_replanned: "\u21c4" };
const CLASSES = { upward: "up", downward: "down", replan: "replan", not_replanned: "muted" };

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function usd(cost) {
  if (cost === null || cost === undefined) return "unknown";
  const digits = cost > 0 ? 2 - Math.floor(Math.log10(cost)) : 2;
  return cost.toFixed(Math.min(14, Math.max(2, digits)));
}
function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value >= 100) return value.toFixed(0) + " s";
  return value >= 1 ? value.toFixed(2) + " s" : (value * 1000).toFixed(value < 0.01 ? 2 : 0) + " ms";
}
const percent = (part) => (part === null || part === undefined || !isFinite(part) ? "" : (100 * part).toFixed(1) + " %");
const sure = (value) => (value === null || value === undefined ? "" : value.toFixed(3));
const words = (name) => (name || "").replaceAll("_", " ");
const count = (number, one) => number.toLocaleString("en") + " " + one + (number === 1 ? "" : "s");

const ruler = document.createElement("canvas").getContext("2d");
const widths = new Map();
function width(text, font) {
  let sum = 0;
  for (const c of text) {
    const key = font + c;
    if (!widths.has(key)) { ruler.font = font; widths.set(key, ruler.measureText(c).width); }
    sum += widths.get(key);
  }
  return sum;
}
// The start of a text that fits into so many pixels.
function fit(text, px, font = "12px system-ui, \"DejaVu Sans\", sans-serif") {
  const flat = text.slice(0, 400).replace(/\s+/g, " ");
  if (width(flat, font) <= px) return flat;
  let short = flat;
  while (short && width(short + "\u2026", font) > px) short = short.slice(0, -1);
  return short + "\u2026";
}

const groupOf = (group) => (["SLM", "MLM", "LLM"].includes(group) ? group : "none");
const chip = (text, kind) => h("span", { class: "chip " + (kind || "") }, text);
function statusChip(status) {
  return chip(words(status), { ok: "ok", error: "bad" }[status] || "warn");
}
const section = (title, ...children) =>
  h("section", { "aria-label": title }, h("div", { class: "head" }, h("h2", {}, title)), ...children);
const tile = (value, name) => h("div", { class: "tile" }, h("b", {}, value), h("span", {}, name));

// A table whose columns sort: columns are {name, value(row), show(row), num}.
function sortable(columns, rows, { size = 100, sort = null, down = false, label = "" } = {}) {
  let order = rows, page = 0, key = sort, falling = down;
  const body = h("tbody"), place = h("span", { class: "muted small", role: "status" });
  const previous = h("button", { onclick: () => { page--; show(); } }, "Previous");
  const next = h("button", { onclick: () => { page++; show(); } }, "Next");
  const heads = columns.map((column, i) => h("th", { class: column.num ? "num" : "", scope: "col" },
    h("button", { onclick: () => { falling = key === i ? !falling : !!column.num; key = i; page = 0; show(); } }, column.name)));
  let shown = rows;
  function show() {
    order = shown;
    if (key !== null) {
      const value = columns[key].value, sign = falling ? -1 : 1;
      order = [...shown].sort((a, b) => {
        const x = value(a), y = value(b);
        if (x === null || x === undefined) return y === null || y === undefined ? 0 : 1;
        if (y === null || y === undefined) return -1;
        return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
      });
    }
    heads.forEach((head, i) => {
      head.setAttribute("aria-sort", key === i ? (falling ? "descending" : "ascending") : "none");
      head.firstChild.textContent = columns[i].name + (key === i ? (falling ? " \u25be" : " \u25b4") : "");
    });
    const pages = Math.max(1, Math.ceil(order.length / size));
    page = Math.min(page, pages - 1);
    body.replaceChildren(...order.slice(page * size, (page + 1) * size).map((row) =>
      h("tr", {}, columns.map((c) => h("td", { class: c.num ? "num" : c.text ? "text" : "" }, (c.show || c.value)(row))))));
    previous.disabled = page === 0;
    next.disabled = page >= pages - 1;
    place.textContent = pages > 1 ? `${page * size + 1} to ${Math.min(order.length, (page + 1) * size)} of ${order.length}` : count(order.length, "row");
  }
  show();
  const table = h("div", { class: "table" }, h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, heads)), body));
  const bar = rows.length > size ? h("div", { class: "head" }, place, h("span", {}, previous, " ", next)) : null;
  return { node: h("div", {}, bar, table), filter(keep) { shown = rows.filter(keep); page = 0; show(); } };
}

// Moves the focus among elements that share one tab stop.
function roving() {
  let current = null;
  return (element, focus = true) => {
    if (current) current.setAttribute("tabindex", "-1");
    current = element;
    element.setAttribute("tabindex", "0");
    if (focus) element.focus();
  };
}

// Draws what shows in a pane, or is near: of a large run most is never looked at. Items are {x, y, right, bottom, draw()}.
function lazily(pane, items, scale = () => 1) {
  let waiting = items;
  function show(all) {
    const near = 300, z = scale(), left = (pane.scrollLeft - near) / z, top = (pane.scrollTop - near) / z;
    const right = left + (screen.width + 2 * near) / z, bottom = top + (PANE + 2 * near) / z;
    waiting = waiting.filter((item) => {
      if (!all && (item.x > right || item.right < left || item.y > bottom || item.bottom < top)) return true;
      item.draw();
      return false;
    });
  }
  pane.addEventListener("scroll", () => show(false), { passive: true });
  addEventListener("beforeprint", () => show(true));
  return show;
}

// A horizontal bar as a share of the whole.
function shareBar(part, kind) {
  return s("svg", { width: 120, height: 12, "aria-hidden": "true" },
    s("rect", { class: "fill none", width: 120, height: 12, rx: 3, opacity: 0.35 }),
    s("rect", { class: "fill " + kind, width: Math.max(part > 0 ? 1 : 0, 120 * Math.min(1, part || 0)), height: 12, rx: 3 }));
}
