(() => {
  const off = { level: new Set(), stage: new Set() };
  let whole = false;

  function applyChoices(figure, source) {
    for (const trace of figure.data) {
      if (trace.meta) trace.visible = !off.level.has(trace.meta.level) && !off.stage.has(trace.meta.stage);
    }
    figure.layout.yaxis.range = [...(whole ? source.views.all : source.views.focus)];
  }

  const draw = (name) => laxity.draw(name, name === "front" ? applyChoices : undefined);
  const drawAll = () => Promise.all([...laxity.figures.keys()].map(draw));
  drawAll().then(() => { document.documentElement.dataset.ready = "true"; });
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
