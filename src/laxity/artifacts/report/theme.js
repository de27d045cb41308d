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
    if (value === null || typeof value !== "object") return value;
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

  return { themed: (figure) => themed(figure, style(), false), adapt, config, watch };
})();
