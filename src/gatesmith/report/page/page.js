"use strict";
// Draws the figures in the reader's colours, and lets the gates be explored by sequence, cell, signal and unit.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");
  const redraws = [];
  const SIGNALS = {
    i: "input gate i", f: "forget gate f", g: "candidate g", o: "output gate o", c: "cell state c", h: "output h",
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Every string that is the name of a CSS variable becomes its value.
  function themed(value) {
    if (typeof value === "string") return value.startsWith("--") ? colour(value) : value;
    if (Array.isArray(value)) return value.map(themed);
    if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item)]));
    }
    return value;
  }

  function layoutOf(own) {
    const axis = (given) => ({
      gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true,
      ...given,
    });
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", height: 380, hovermode: "closest",
      font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 13 },
      margin: { l: 56, r: 12, t: 12, b: 48 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, xanchor: "left" },
      ...own, xaxis: axis(own.xaxis), yaxis: axis(own.yaxis),
    };
  }

  function draw(node, figure) {
    const layout = layoutOf(themed(figure.layout));
    // A narrow legend is a column: it takes its own room, not the figure's.
    const named = figure.data.filter((trace) => trace.name).length;
    if (narrow.matches && named > 3) layout.height += 18 * named;
    return Plotly.react(node, themed(figure.data), layout, { displayModeBar: false, responsive: true });
  }

  function drawStatic() {
    for (const node of document.querySelectorAll("[data-figure]")) draw(node, data.figures[node.id]);
  }
  redraws.push(drawStatic);

  function decoded(array) {
    const bytes = Uint8Array.from(atob(array.data), (character) => character.charCodeAt(0));
    return { shape: array.shape, values: new Float32Array(bytes.buffer) };
  }

  function fill(select, options) {
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  }

  function explore(root) {
    const name = root.dataset.explorer;
    const gates = data.gates[name];
    const arrays = Object.fromEntries(Object.entries(gates.arrays).map(([key, array]) => [key, decoded(array)]));
    const form = root.querySelector("form");
    const chosen = (field) => form.elements[field].value;

    // Values [T][unit] of one signal of the chosen sequence and cell, at its true length.
    function values(kind, signal) {
      const { shape: [, sequences, units], values: flat } = arrays[`${kind}_${chosen("cell")}_${signal}`];
      const sequence = Number(chosen("sequence"));
      return Array.from({ length: gates.lengths[sequence] }, (_, t) => {
        const start = (t * sequences + sequence) * units;
        return Array.from(flat.subarray(start, start + units));
      });
    }

    function shown(signal) {
      const kind = chosen("kind");
      if (kind !== "difference") return values(kind, signal);
      const real = values("float", signal);
      return values("fixed", signal).map((row, t) => row.map((value, unit) => value - real[t][unit]));
    }

    function drawMap(rows) {
      const signal = chosen("signal");
      const largest = rows.flat().reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
      const oneSided = "ifo".includes(signal) && chosen("kind") !== "difference";
      const limit = chosen("kind") === "difference" || "ch".includes(signal) ? largest : 1;
      const scale = oneSided
        ? [[0, "--empty"], [1, "--low"]]
        : [[0, "--low"], [0.5, "--middle"], [1, "--high"]];
      const kind = { float: "float", fixed: "fixed point", difference: "fixed point minus float" }[chosen("kind")];
      root.querySelector(`#${name}-map-title`).textContent =
        `${SIGNALS[signal]}, ${kind}, sequence ${chosen("sequence")}: ${rows.length} steps, ` +
        `largest value ${largest.toPrecision(3)}`;
      draw(root.querySelector(`#${name}-map`), {
        data: [{
          type: "heatmap", z: rows[0] ? rows[0].map((_, unit) => rows.map((row) => row[unit])) : [],
          zmin: oneSided ? 0 : -limit, zmax: limit, colorscale: scale,
          colorbar: { thickness: 12, outlinewidth: 0, tickfont: { color: "--ink" } },
          hovertemplate: "step %{x}, unit %{y}: %{z:.4g}<extra></extra>",
        }],
        layout: { xaxis: { title: { text: "step t" } }, yaxis: { title: { text: "unit" } }, height: 420 },
      });
    }

    function drawUnit() {
      const unit = Number(chosen("unit"));
      const columns = Object.keys(SIGNALS).map((signal) => shown(signal).map((row) => row[unit]));
      const traces = Object.entries(SIGNALS).map(([signal, title], at) => ({
        type: "scatter", mode: "lines+markers", name: title, x: columns[at].map((_, t) => t), y: columns[at],
        line: { color: `--c${at + 1}`, dash: "ch".includes(signal) ? "dot" : "solid" }, marker: { size: 5 },
        hovertemplate: "step %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
      }));
      const title = `Unit ${unit} of ${gates.cells[chosen("cell")]}, sequence ${chosen("sequence")}`;
      root.querySelector(`#${name}-unit-title`).textContent = `${title}: its gates and states over time`;
      draw(root.querySelector(`#${name}-unit`), {
        data: traces, layout: { xaxis: { title: { text: "step t" } }, yaxis: { title: { text: "value" } } },
      });
      writeTable(title, columns);
    }

    function writeTable(title, columns) {
      root.querySelector("caption").textContent = title;
    const headings = ["step", ...Object.keys(SIGNALS)];
      root.querySelector("thead").replaceChildren(row(headings.map((text) => cell("th", text, "col"))));
      const steps = columns[0].map((_, t) =>
        row([cell("th", t, "row"), ...columns.map((column) => cell("td", column[t].toPrecision(4)))]));
      root.querySelector("tbody").replaceChildren(...steps);
    }

    function writeCsv() {
      const lines = ["signal,step,unit,value"];
      for (const signal of Object.keys(SIGNALS)) {
        shown(signal).forEach((units, t) => units.forEach((value, unit) => lines.push(`${signal},${t},${unit},${value}`)));
      }
      const link = root.querySelector("a.csv");
      if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href);
      link.href = URL.createObjectURL(new Blob([lines.join("\n")], { type: "text/csv" }));
    }

    function redraw() {
      drawMap(shown(chosen("signal")));
      drawUnit();
      writeCsv();
    }

    fill(form.elements.sequence, gates.lengths.map((length, at) => [at, `${at} (${length} steps)`]));
    fill(form.elements.cell, gates.cells.map((text, at) => [at, text]));
    fill(form.elements.signal, Object.entries(SIGNALS));
    const kinds = [["float", "float"], ["fixed", "fixed point"], ["difference", "difference"]];
    fill(form.elements.kind, gates.fixed ? kinds : kinds.slice(0, 1));
    fill(form.elements.unit, Array.from({ length: arrays["float_0_i"].shape[2] }, (_, unit) => [unit, `${unit}`]));
    form.addEventListener("change", redraw);
    form.addEventListener("submit", (event) => event.preventDefault());
    redraws.push(redraw);
    redraw();
  }

  function cell(tag, text, scope) {
    const node = document.createElement(tag);
    node.textContent = text;
    if (scope) node.scope = scope;
    else node.className = "number";
    return node;
  }

  function row(cells) {
    const node = document.createElement("tr");
    node.append(...cells);
    return node;
  }

  drawStatic();
  document.querySelectorAll("[data-explorer]").forEach(explore);
  for (const query of [dark, narrow]) query.addEventListener("change", () => redraws.forEach((redraw) => redraw()));
  // On paper every table stands open.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
})();
