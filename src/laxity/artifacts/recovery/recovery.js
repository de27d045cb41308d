(() => {
  const near = new Set();
  const draw = (name) =>
    laxity.draw(name, (figure, source) => {
      const views = source.views;
      if (views) figure.layout[views.axis].range = [...(near.has(name) ? views.near : views.all)];
    });
  const names = [...laxity.figures.keys()];
  const drawAll = () => Promise.all(names.map(draw));

  drawAll().then(() => { document.documentElement.dataset.ready = "true"; });
  laxity.watch(drawAll);
  for (const chip of document.querySelectorAll(".chip[data-near]")) {
    chip.addEventListener("click", () => {
      const pressed = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(pressed));
      near[pressed ? "add" : "delete"](chip.dataset.near);
      draw(chip.dataset.near);
    });
  }
})();
