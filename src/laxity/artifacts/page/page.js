"use strict";
// What the pages share: colours of the style sheet in charts, narrow windows, redrawing, tables that sort.
const laxity = (() => {
  const style = () => getComputedStyle(document.documentElement);

  // "@name" or "@name/30" under a colour key becomes the style sheet's colour; other text is never touched.
  function colour(text, css) {
    const match = /^@([a-z0-9]+)(?:\/(\d+))?$/.exec(text);
    if (!match) return text;
    const value = css.getPropertyValue("--" + match[1]).trim();
    if (!match[2]) return value;
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(value.slice(i, i + 2), 16));
    return `rgba(${r},${g},${b},${Number(match[2]) / 100})`;
  }

  function themed(value, css, coloured) {
    if (typeof value === "string") return coloured ? colour(value, css) : value;
    if (Array.isArray(value)) return value.map((item) => themed(item, css, coloured));
    if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
    const entries = Object.entries(value).map(([key, item]) => [key, themed(item, css, /color/i.test(key) && key !== "colorbar")]);
    return Object.fromEntries(entries);
  }

  function adapt(figure, box) {
    const narrow = box.parentElement.clientWidth < 560;
    const layout = figure.layout;
    layout.font.size = narrow ? 11 : 13;
    layout.margin = { ...layout.margin, l: narrow ? 8 : layout.margin.l, r: narrow ? 8 : layout.margin.r };
    if (layout.xaxis && layout.xaxis.tickformat === ".0%" && narrow) layout.xaxis.nticks = 6;
    // On touch screens a drag must scroll the page, not zoom the chart.
    layout.dragmode = window.matchMedia("(pointer: coarse)").matches || narrow ? false : "zoom";
    return figure;
  }

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };

  // Draw when the colour scheme or the width of the window changes.
  function watch(drawAll) {
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth === width) return;
      width = window.innerWidth;
      drawAll();
    });
  }

  const figures = new Map();
  for (const block of document.querySelectorAll("script[data-chart]")) {
    figures.set(block.dataset.chart, JSON.parse(block.textContent));
  }
  const grids = new Map();

  // Rows of 32-bit floats from compressed base64 text.
  async function unpack(name, figure) {
    if (grids.has(name)) return grids.get(name);
    const bytes = Uint8Array.from(atob(figure.packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const flat = new Float32Array(await new Response(stream).arrayBuffer());
    const columns = figure.data[0].x.length;
    const rows = figure.data[0].y.map((_, i) => flat.subarray(i * columns, (i + 1) * columns));
    grids.set(name, rows);
    return rows;
  }

  // Draw a figure with the colours of the style sheet; the box is named to those who cannot see it.
  async function plot(box, figure) {
    const { data, layout } = themed(figure, style(), false);
    await Plotly.react(box, data, layout, config);
    const label = box.getAttribute("aria-label");
    for (const svg of box.querySelectorAll("svg.main-svg")) svg.setAttribute("aria-label", label);
  }

  async function draw(name, change = () => {}) {
    const box = document.getElementById("chart-" + name);
    const source = figures.get(name);
    const grid = source.packed ? await unpack(name, source) : null;
    const figure = structuredClone({ data: source.data, layout: source.layout });
    change(figure, source);
    adapt(figure, box);
    if (grid) figure.data[0].z = grid;
    return plot(box, figure);
  }

  for (const button of document.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = button.closest("table").tBodies[0];
      const key = button.dataset.key;
      const first = key === "name" ? "ascending" : "descending";
      const second = key === "name" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of head.parentElement.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => sign * (Number(a.dataset[key]) - Number(b.dataset[key]))));
    });
  }

  return { figures, draw, plot, watch };
})();
