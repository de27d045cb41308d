(() => {
  let cost = null;

  function change(figure, source) {
    if (!source.costs || cost === null) return;
    const shown = source.costs[cost];
    figure.data.forEach((trace, i) => { trace.x = shown.x[i]; });
    figure.layout.xaxis.title.text = shown.title;
    figure.layout.xaxis.range = [...shown.range];
  }

  const draw = (name) => laxity.draw(name, change);
  const drawAll = () => Promise.all([...laxity.figures.keys()].map(draw));

  drawAll().then(() => { document.documentElement.dataset.ready = "true"; });
  laxity.watch(drawAll);
  const chips = [...document.querySelectorAll(".chip[data-cost]")];
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      cost = chip.dataset.cost;
      for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
      draw("tradeoff");
    });
  }
})();
