(() => {
  const wide = new Set();
  const choice = { outcome: "critical", figure: "share", tried: false };

  function change(name) {
    return (figure, source) => {
      if (source.views) figure.layout[source.views.axis].range = [...(wide.has(name) ? source.views.all : source.views.near)];
      if (!source.maps) return;
      const shown = source.maps[choice.tried ? "tried" : `${choice.outcome}-${choice.figure}`];
      const heat = figure.data[1];
      heat.z = shown.z;
      heat.zmax = shown.zmax;
      heat.colorbar = { ...heat.colorbar, tickvals: shown.tickvals, ticktext: shown.ticktext };
    };
  }

  const draw = (name) => laxity.draw(name, change(name));
  const names = [...laxity.figures.keys()];
  const maps = names.filter((name) => laxity.figures.get(name).maps);
  const drawAll = () => Promise.all(names.map(draw));

  drawAll().then(() => { document.documentElement.dataset.ready = "true"; });
  laxity.watch(drawAll);
  for (const chip of document.querySelectorAll(".chip[data-wide]")) {
    chip.addEventListener("click", () => {
      const pressed = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(pressed));
      wide[pressed ? "add" : "delete"](chip.dataset.wide);
      draw(chip.dataset.wide);
    });
  }

  const chips = [...document.querySelectorAll(".chip[data-map]")];
  function press() {
    for (const chip of chips) {
      const { map, value } = chip.dataset;
      chip.setAttribute("aria-pressed", String(map === "tried" ? choice.tried : !choice.tried && choice[map] === value));
    }
    return Promise.all(maps.map(draw));
  }
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      const { map, value } = chip.dataset;
      if (map !== "tried") choice[map] = value;
      choice.tried = map === "tried" && !choice.tried;
      press();
    });
  }
})();
