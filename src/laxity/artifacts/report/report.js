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
  // Pages of the document: one is shown at a time, and its charts are drawn when they have a width.
  const root = document.documentElement;
  const views = [...document.querySelectorAll(".view")];
  const pending = new Map(views.map((view) => [view.id, chartsOf(view)]));

  function chartsOf(view) {
    return [...view.querySelectorAll(".chart")].map((box) => box.id.slice("chart-".length));
  }

  function drawShown() {
    const shown = views.filter((view) => !root.dataset.view || root.dataset.view === view.id);
    const names = shown.flatMap((view) => pending.get(view.id));
    for (const view of shown) pending.set(view.id, []);
    return Promise.all(names.map(draw));
  }

  function drawAll() {
    for (const view of views) pending.set(view.id, chartsOf(view));
    return drawShown();
  }

  function show(id) {
    root.dataset.view = id;
    for (const link of document.querySelectorAll(".views a")) {
      if (link.hash === "#" + id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    return drawShown();
  }

  function route() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const view = target && target.closest(".view");
    if (!view) return drawShown();
    const drawn = show(view.id);
    target.scrollIntoView();
    return drawn;
  }

  show("results").then(route).then(() => { root.dataset.ready = "true"; });
  window.addEventListener("hashchange", route);
  laxity.watch(drawAll);
  // Paper has all pages.
  let before = "results";
  window.addEventListener("beforeprint", () => {
    before = root.dataset.view;
    delete root.dataset.view;
    drawShown();
  });
  window.addEventListener("afterprint", () => show(before));

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
