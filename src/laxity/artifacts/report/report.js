(() => {
  const figures = new Map();
  for (const block of document.querySelectorAll("script[data-chart]")) {
    figures.set(block.dataset.chart, JSON.parse(block.textContent));
  }
  const off = { level: new Set(), stage: new Set() };
  let whole = false;

  function applyChoices(name, figure) {
    if (name !== "front") return;
    for (const trace of figure.data) {
      if (trace.meta) trace.visible = !off.level.has(trace.meta.level) && !off.stage.has(trace.meta.stage);
    }
    figure.layout.yaxis.range = [...(whole ? figure.views.all : figure.views.focus)];
  }

  function draw(name) {
    const box = document.getElementById("chart-" + name);
    const figure = laxity.themed(structuredClone(figures.get(name)));
    applyChoices(name, figure);
    laxity.adapt(figure, box);
    const label = box.getAttribute("aria-label");
    return Plotly.react(box, figure.data, figure.layout, laxity.config).then(() => {
      for (const svg of box.querySelectorAll("svg.main-svg")) svg.setAttribute("aria-label", label);
    });
  }

  const drawAll = () => [...figures.keys()].forEach(draw);
  drawAll();
  document.documentElement.dataset.ready = "true";
  laxity.watch(drawAll);

  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      const pressed = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(pressed));
      if (chip.dataset.view) whole = pressed;
      else off[chip.dataset.filter][pressed ? "delete" : "add"](chip.dataset.value);
      draw("front");
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
