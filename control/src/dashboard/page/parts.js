// Pieces of the page. Text is set as text, never as HTML. What is shown again is changed in place, so that focus, selection and
// the place that a screen reader has come to stay.

const SVG = "http://www.w3.org/2000/svg";

export function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value != null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// A table: `columns` are {title, number}; a row is a list of cells, each a text or {text, tone, title}.
export function table(place, caption, columns, rows, none) {
  let view = place.tableView;
  if (!view) {
    const head = node("tr", {}, ...columns.map((column) => node("th", { scope: "col", class: column.number ? "number" : null }, column.title)));
    const body = node("tbody");
    const title = node("caption");
    // It scrolls sideways on narrow screens, which the keyboard must be able to do too.
    const frame = node("div", { class: "frame", role: "region", tabindex: "0" },
      node("table", {}, title, node("thead", {}, head), body));
    const empty = node("p", { class: "note" }, none);
    place.append(frame, empty);
    view = { frame, title, body, empty };
    place.tableView = view;
  }
  if (view.title.textContent !== caption) {
    view.title.textContent = caption;
    view.frame.setAttribute("aria-label", caption);
  }
  setText(view.empty, none);
  view.frame.hidden = rows.length === 0;
  view.empty.hidden = rows.length > 0;
  while (view.body.rows.length > rows.length) view.body.deleteRow(-1);
  rows.forEach((row, at) => {
    const line = view.body.rows[at] ?? view.body.appendChild(line_of(columns));
    row.forEach((cell, place) => {
      const { text, tone, title } = cell != null && typeof cell === "object" ? cell : { text: cell };
      const target = line.cells[place];
      setText(target, String(text ?? "–"));
      const wanted = [columns[place].number ? "number" : "", tone ?? ""].filter(Boolean).join(" ");
      if (target.className !== wanted) target.className = wanted;
      if (title) target.title = title;
      else target.removeAttribute("title");
    });
  });
}

function line_of(columns) {
  return node("tr", {}, ...columns.map((_, at) => node(at === 0 ? "th" : "td", at === 0 ? { scope: "row" } : {})));
}

// Paragraphs that are changed in place; those without text go.
export function lines(place, texts) {
  texts.forEach((line, at) => {
    const { text, tone } = typeof line === "object" && line != null ? line : { text: line };
    place.lineViews ??= [];
    const view = (place.lineViews[at] ??= place.appendChild(node("p")));
    setText(view, text ?? "");
    view.className = tone ?? "";
    view.hidden = !text;
  });
}

// A figure with its name, a second line and a curve.
export function tile(place, name, value, more, tone, curve) {
  place.tiles ??= new Map();
  let view = place.tiles.get(name);
  if (!view) {
    view = { value: node("p", { class: "value" }), more: node("p", { class: "more" }), curve: spark() };
    place.append(node("div", { class: "tile", role: "group", "aria-label": name }, node("h3", {}, name), view.value, view.more, view.curve));
    place.tiles.set(name, view);
  }
  setText(view.value, value);
  setText(view.more, more ?? "");
  view.value.className = `value ${tone ?? ""}`;
  draw(view.curve, curve);
}

function spark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 120 28");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("vector-effect", "non-scaling-stroke");
  svg.append(line);
  return svg;
}

function draw(svg, curve) {
  svg.toggleAttribute("hidden", !curve);
  if (!curve) return;
  const { values, unit } = curve;
  const top = Math.max(...values, 1e-9);
  const points = values.map((value, at) => `${((120 * at) / (values.length - 1)).toFixed(1)},${(26 - (24 * value) / top).toFixed(1)}`);
  svg.firstChild.setAttribute("points", points.join(" "));
  const last = values.at(-1);
  svg.setAttribute("aria-label", `Last ${values.length} seconds: least ${unit(Math.min(...values))}, most ${unit(Math.max(...values))}, now ${unit(last)}`);
}
