(() => {
  const front = JSON.parse(document.getElementById("points").textContent);
  const seen = new Set();
  const choice = { metric: front.metric, against: front.against, family: "" };

  // Circuits that no other beats, cheapest first; `at` reads error and cost.
  function best(rows, at) {
    const sorted = [...rows].sort((p, q) => at(p)[0] - at(q)[0] || at(p)[1] - at(q)[1]);
    const kept = [];
    let least = Infinity;
    for (const row of sorted) {
      if (at(row)[1] < least) {
        kept.push(row);
        least = at(row)[1];
      }
    }
    return kept;
  }

  function spread(low, high, logarithmic) {
    if (logarithmic) return [Math.log10(low) - 0.15, Math.log10(high) + 0.3];
    const pad = 0.07 * (high - low || Math.abs(high) || 1);
    return [Math.min(low - pad, low), high + pad];
  }

  // Text that plotly shows as it is; without this, plotly would read tags in it.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  // Names of points where they cover neither each other nor any mark: below and left of the front it is empty.
  function names(points, rows, place, size, letter) {
    const marks = points.map((point) => place(point));
    const taken = rows.map(place).map(([x, y]) => [x - 5, y - 5, x + 5, y + 5]);
    const found = [];
    points.forEach((point, index) => {
      const [x, y] = marks[index];
      const width = letter * point.name.length + 4;
      for (const [dx, dy, anchor] of [[-9, 9, "right"], [-11, 0, "right"], [9, -11, "left"], [11, 0, "left"], [-9, -11, "right"], [9, 11, "left"]]) {
        const left = anchor === "left" ? x + dx : x + dx - width;
        const area = [left, y + dy - 8, left + width, y + dy + 8];
        if (area[0] < 0 || area[2] > size[0] || area[1] < 0 || area[3] > size[1]) continue;
        if (taken.some((t) => t[0] < area[2] && area[0] < t[2] && t[1] < area[3] && area[1] < t[3])) continue;
        taken.push(area);
        found.push({ point, dx, dy, anchor });
        break;
      }
    });
    return found;
  }

  function drawFront() {
    const box = document.getElementById("chart-front");
    const metric = front.quantities[choice.metric];
    const cost = front.quantities[choice.against];
    const rows = front.rows.filter((row) => row.values[choice.against] !== null);
    const at = (row) => [row.values[choice.against], row.values[choice.metric]];
    const positive = rows.map((row) => at(row)[1]).filter((v) => v > 0);
    const lowest = positive.length ? Math.min(...positive) : 1;
    const highest = positive.length ? Math.max(...positive) : 1;
    const logarithmic = highest / lowest > 20;
    const zero = rows.some((row) => at(row)[1] === 0);
    const floor = logarithmic ? lowest / 4 : 0;
    const shown = (row) => [at(row)[0], at(row)[1] > 0 ? at(row)[1] : floor];
    const kept = best(rows, at);
    const onFront = new Set(kept);
    const costs = rows.map((row) => at(row)[0]);
    const xRange = spread(Math.min(...costs), Math.max(...costs), false);
    const yRange = spread(zero ? floor : lowest, highest, logarithmic);
    const format = (value, quantity) => (quantity.percent ? `${Number((100 * value).toPrecision(4))} %` : String(Number(value.toPrecision(5))));
    const hover = (row) => {
      const beaten = onFront.has(row) ? "on the front" : `beaten by ${plain(kept.filter((k) => at(k)[0] <= at(row)[0] && at(k)[1] <= at(row)[1]).at(-1).name)}`;
      return `<b>${plain(row.name)}</b><br>${metric.short} ${format(at(row)[1], metric)}<br>${cost.short} ${format(at(row)[0], cost)}<br>${beaten}`;
    };
    const cloud = (members, name, colour, symbol, size) => ({
      type: "scatter",
      mode: "markers",
      name,
      x: members.map((row) => shown(row)[0]),
      y: members.map((row) => shown(row)[1]),
      text: members.map(hover),
      marker: { color: colour, symbol, size, line: { width: 1, color: "@paper" } },
      hovertemplate: "%{text}<extra></extra>",
    });
    const steps = kept.map(shown);
    const line = { type: "scatter", mode: "lines", x: steps.map((s) => s[0]), y: steps.map((s) => s[1]), line: { shape: "hv", color: "@cross/55", width: 1.5 }, hoverinfo: "skip", name: "front", showlegend: false };
    const others = rows.filter((row) => !onFront.has(row) && row.family !== choice.family);
    const marked = rows.filter((row) => row.family === choice.family);
    const data = [line, cloud(others, "beaten by another", "@exact/75", "circle", 8), cloud(kept.filter((row) => row.family !== choice.family), "beaten by none", "@cross", "diamond", 11)];
    if (choice.family) data.push(cloud(marked, plain(choice.family), "@data", "square", 11));
    const narrow = box.parentElement.clientWidth < 560;
    const margin = { l: narrow ? 60 : 72, r: 16, t: 44, b: 52 };
    const size = [box.clientWidth - margin.l - margin.r, box.clientHeight - margin.t - margin.b];
    const scaled = (v) => (logarithmic ? Math.log10(v) : v);
    const place = (row) => [
      ((shown(row)[0] - xRange[0]) / (xRange[1] - xRange[0])) * size[0],
      (1 - (scaled(shown(row)[1]) - yRange[0]) / (yRange[1] - yRange[0])) * size[1],
    ];
    const annotations = names([...kept, ...marked.filter((row) => !onFront.has(row))], rows, place, size, narrow ? 6.3 : 6.9).map(({ point, dx, dy, anchor }) => ({
      x: shown(point)[0],
      y: scaled(shown(point)[1]),
      text: plain(point.name),
      showarrow: false,
      xanchor: anchor,
      xshift: dx,
      yshift: -dy,
      font: { size: narrow ? 11 : 12, color: onFront.has(point) ? "@ink" : "@muted" },
    }));
    const shapes = [];
    if (zero && logarithmic) {
      shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: floor * 1.9, y1: floor * 1.9, line: { color: "@rule", width: 1, dash: "dot" }, layer: "below" });
    }
    const quiet = { gridcolor: "@grid", linecolor: "@rule", tickcolor: "@rule", zeroline: false };
    const heading = (text) => ({ text, standoff: 10, font: { size: narrow ? 11 : 13, color: "@muted" } });
    const percent = metric.percent ? { tickformat: "~%" } : { exponentformat: "power" };
    const exactTick = zero && logarithmic ? decades(lowest, highest, floor, metric.percent) : {};
    const layout = {
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: narrow ? 11 : 13, color: "@ink" },
      margin,
      hoverlabel: { bgcolor: "@surface", bordercolor: "@rule", font: { color: "@ink" }, align: "left" },
      showlegend: true,
      legend: { orientation: "h", x: 0, xanchor: "left", yref: "container", y: 1, yanchor: "top", bgcolor: "rgba(0,0,0,0)" },
      xaxis: { title: heading(narrow ? cost.short : cost.title), range: xRange, nticks: narrow ? 5 : 9, ...quiet },
      yaxis: { title: heading(narrow ? metric.short : metric.title), range: yRange, type: logarithmic ? "log" : "linear", ...(logarithmic ? { dtick: 1 } : { nticks: 7 }), ...percent, ...exactTick, ...quiet },
      annotations,
      shapes,
      hovermode: "closest",
      dragmode: window.matchMedia("(pointer: coarse)").matches || narrow ? false : "zoom",
    };
    return laxity.plot(box, { data, layout });
  }

  // Ticks at powers of ten, and one named "exact" where circuits without error are drawn.
  function decades(lowest, highest, floor, percent) {
    const values = [floor];
    const texts = ["exact"];
    for (let k = Math.ceil(Math.log10(lowest) - 0.1); k <= Math.log10(highest) + 0.2; k += 1) {
      values.push(10 ** k);
      const scaled = percent ? k + 2 : k;
      const text = scaled >= -4 && scaled <= 4 ? String(Number((10 ** scaled).toPrecision(1))) : `10<sup>${scaled}</sup>`;
      texts.push(percent ? text + "%" : text);
    }
    return { tickmode: "array", tickvals: values, ticktext: texts };
  }

  function drawAll() {
    if (document.getElementById("chart-front")) drawFront();
    for (const name of seen) laxity.draw(name);
  }

  for (const select of document.querySelectorAll("select[data-choice]")) {
    select.value = choice[select.dataset.choice];
    select.addEventListener("change", () => {
      choice[select.dataset.choice] = select.value;
      drawFront();
    });
  }

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const name = entry.target.id.slice("chart-".length);
        if (!entry.isIntersecting || seen.has(name)) continue;
        seen.add(name);
        watcher.unobserve(entry.target);
        laxity.draw(name);
      }
    },
    { rootMargin: "800px" },
  );
  for (const name of laxity.figures.keys()) watcher.observe(document.getElementById("chart-" + name));
  drawAll();
  document.documentElement.dataset.ready = "true";
  laxity.watch(drawAll);
})();
