"use strict";
(() => {
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
    if (value === null || typeof value !== "object") return value;
    const entries = Object.entries(value).map(([key, item]) => [key, themed(item, css, /color/i.test(key) && key !== "colorbar")]);
    return Object.fromEntries(entries);
  }

  const figures = new Map();
  for (const block of document.querySelectorAll("script[data-chart]")) {
    figures.set(block.dataset.chart, JSON.parse(block.textContent));
  }
  const off = { level: new Set(), stage: new Set() };
  let whole = false;

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

  function applyChoices(name, figure) {
    if (name !== "front") return;
    for (const trace of figure.data) {
      if (trace.meta) trace.visible = !off.level.has(trace.meta.level) && !off.stage.has(trace.meta.stage);
    }
    figure.layout.yaxis.range = [...(whole ? figure.views.all : figure.views.focus)];
  }

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };

  function draw(name) {
    const box = document.getElementById("chart-" + name);
    const figure = themed(structuredClone(figures.get(name)), style(), false);
    applyChoices(name, figure);
    adapt(figure, box);
    const label = box.getAttribute("aria-label");
    return Plotly.react(box, figure.data, figure.layout, config).then(() => {
      for (const svg of box.querySelectorAll("svg.main-svg")) svg.setAttribute("aria-label", label);
    });
  }

  const drawAll = () => [...figures.keys()].forEach(draw);
  drawAll();
  document.documentElement.dataset.ready = "true";
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    drawAll();
  });

  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      const pressed = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(pressed));
      if (chip.dataset.view) whole = pressed;
      else off[chip.dataset.filter][pressed ? "delete" : "add"](chip.dataset.value);
      draw("front");
    });
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

  const copy = document.getElementById("copy");
  copy.addEventListener("click", async () => {
    const source = document.getElementById(copy.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      copy.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(source);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1600);
  });
})();
