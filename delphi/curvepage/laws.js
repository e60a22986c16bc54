// Endpoint laws at the cutoffs that delphi fitted, and scores of joint fits.
(function () {
  "use strict";
  var shell = window.delphi, kit = shell.curves, data = kit.data, byId = kit.byId;

  // ---- endpoint laws
  function predicted(law, compute, line) {
    var x = Math.log(compute / 1e18);
    return line ? Math.exp(law.a + law.b * x) : law.E + law.A * Math.exp(-law.alpha * x);
  }
  function endpoints() {
    var ends = data.endpoints, at = ends.cutoffs[kit.number("end-cutoff")];
    var only = kit.number("end-recipe"), line = byId("end-line").checked, traces = [];
    var names = kit.spread(ends.recipes.map(function (_, k) { return k; }), 24)
      .filter(function (k) { return only < 0 || k === only; });
    if (only >= 0) { names = [only]; }
    byId("end-cutoff-value").textContent = at.name;
    byId("end-cutoff").setAttribute("aria-valuetext", at.name + " FLOPs");
    var high = Math.max.apply(null, ends.compute);
    names.forEach(function (k) {
      var colour = kit.colours[k % kit.colours.length], law = at.laws[k], name = kit.safe(ends.recipes[k]);
      var x = [], i, listed = false;
      // from its own first run on: below it a law says nothing, and would set the axis
      var low = Math.min.apply(null, ends.compute.filter(function (_, i) { return ends.recipe[i] === k; }));
      if (law && (line ? law.a : law.E) !== null) {
        for (i = 0; i <= 60; i++) { x.push(low / 1.3 * Math.pow(high * 1.69 / low, i / 60)); }
        traces.push({ x: x, y: x.map(function (C) { return predicted(law, C, line); }), mode: "lines",
          name: name, legendgroup: "r" + k, meta: "law", hoverinfo: "skip",
          line: { color: colour, width: 1.5,
            dash: ["solid", "dash", "dot", "dashdot"][Math.floor(k / kit.colours.length) % 4] } });
        listed = true;
      }
      [["fit", "circle"], ["cut", "circle-open"], ["held out", "triangle-up"]].forEach(function (kind) {
        var rows = [];
        at.used.forEach(function (used, i) {
          if (used === kind[0] && ends.recipe[i] === k) { rows.push(i); }
        });
        if (rows.length) {
          traces.push({
            x: rows.map(function (i) { return ends.compute[i]; }),
            y: rows.map(function (i) { return ends.loss[i]; }), mode: "markers",
            name: listed ? kind[0] : name, legendgroup: "r" + k, showlegend: !listed, meta: kind[0],
            marker: { symbol: kind[1], size: kind[0] === "held out" ? 11 : 8, color: colour,
              line: { width: 1.5, color: kind[0] === "held out" ? "#22252b" : colour } },
            hovertemplate: name + ", " + kind[0] + "<br>%{x:.3g}: %{y:.4f}<extra></extra>",
          });
          listed = true;
        }
      });
    });
    kit.draw("live-endpoints", traces, {
      xaxis: { type: "log", title: { text: "Compute (FLOPs)" }, exponentformat: "power",
        showexponent: "all", dtick: 1 },
      yaxis: { title: { text: "final loss" } },
      height: shell.narrow() ? 460 + 18 * names.length : 480 + 8 * names.length,
      margin: { l: shell.narrow() ? 48 : 62, r: 14, t: 16,
        b: 90 + (shell.narrow() ? 20 * names.length : 9 * names.length) },
    });
    var held = at.held.filter(function (h) { return only < 0 || h.recipe === only; });
    var key = line ? "line_percent_error" : "percent_error";
    var sizes = held.map(function (h) { return h[key]; })
      .filter(function (v) { return v !== null; }).map(Math.abs);
    var used = at.used.filter(function (u, i) {
      return u === "fit" && (only < 0 || ends.recipe[i] === only);
    });
    byId("endpoints-said").textContent = "Fitted to " + used.length + " runs up to " + at.name + " FLOPs. " +
      (sizes.length ? "Held out, " + (line ? "log-log line" : "law with a floor") + ": mean error " +
        kit.text(sizes.reduce(function (a, b) { return a + b; }, 0) / sizes.length, 3) + "%, worst " +
        kit.text(Math.max.apply(null, sizes), 3) + "% of " + sizes.length + " runs." :
        "No held-out run with a forecast.");
    kit.fill("held-table", held.map(function (h) {
      return [ends.recipes[h.recipe], kit.text(h.compute, 3), kit.fixed(h.loss),
        kit.fixed(h.predicted), kit.text(h.percent_error, 3), kit.fixed(h.line_predicted),
        kit.text(h.line_percent_error, 3)];
    }), [0, 1, 1, 1, 1, 1, 1]);
    var rows = [];
    at.laws.forEach(function (law, k) {
      if (law && (only < 0 || k === only)) {
        rows.push([ends.recipes[k], kit.text(law.n)].concat(
          ["E", "A", "alpha", "rmse", "r2", "a", "b", "line_rmse", "line_r2"].map(function (f) {
            return kit.text(law[f]);
          }), [law.status]));
      }
    });
    kit.fill("law-table", rows, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
  }
  if (data.endpoints) {
    byId("end-cutoff").addEventListener("input", endpoints);
    byId("end-recipe").addEventListener("change", endpoints);
    byId("end-line").addEventListener("change", endpoints);
    shell.onChange(endpoints);
    endpoints();
  }

  // ---- joint fits
  var ridges = [];
  (data.joint || []).forEach(function (row) {
    if (ridges.indexOf(row.ridge) < 0) { ridges.push(row.ridge); }
  });
  function picked(id) { return byId(id).selectedOptions[0].textContent; }
  function joint() {
    var scope = picked("joint-scope"), form = picked("joint-form"), loss = picked("joint-loss");
    var kind = picked("joint-kind").split(": "), base = form + "-" + loss;
    var ridge = ridges[kit.number("joint-ridge")];
    var wanted = [["joint-" + base, "joint"], ["joint-" + base + "-anchored", "joint, anchored"],
      [base, "each run alone"], ["last value", "last value"]];
    var traces = [], rows = [], said = [];
    wanted.forEach(function (pair, i) {
      var part = data.joint.filter(function (row) {
        return row.scope === scope && row.ridge === ridge && row.kind === kind[0] && row.cells === (kind[1] || "") &&
          row.method === pair[0] && row.mae !== null;
      });
      part.sort(function (a, b) { return a.prefix - b.prefix; });
      if (!part.length) { return; }
      traces.push({ x: part.map(function (r) { return r.prefix; }),
        y: part.map(function (r) { return r.mae; }), mode: "lines+markers", name: pair[1],
        line: { color: kit.colours[i], width: 2, dash: i < 2 ? "solid" : "dash" },
        marker: { symbol: kit.symbols[i], size: 8 },
        hovertemplate: pair[1] + "<br>prefix %{x}: %{y:.4g}<extra></extra>" });
      part.forEach(function (r) {
        rows.push([pair[0], kit.text(r.prefix, 3), String(r.n_runs), kit.text(r.mae),
          kit.text(r.worst), kit.text(r.bias)]);
      });
      said.push(pair[1] + " " + kit.text(part[0].mae));
    });
    byId("joint-said").textContent = said.length && traces[0].name === "joint" ?
      "Mean error at the first prefix: " + said.join(", ") + "." :
      "No joint fit of this kind: cells are cut and left out in the global scope, under Huber's loss" +
        " and the first ridge; the absolute error is fitted under the first ridge.";
    kit.draw("live-joint", traces, {
      xaxis: { title: { text: "prefix (share of the run seen)" } },
      yaxis: { title: { text: "mean error of the final loss" }, type: "log", dtick: "D2",
        tickformat: ".3~g" },
    });
    kit.fill("joint-table", rows, [0, 1, 1, 1, 1, 1]);
  }
  if (data.joint) {
    ["joint-scope", "joint-kind", "joint-form", "joint-loss", "joint-ridge"].forEach(function (id) {
      byId(id).addEventListener("change", joint);
    });
    shell.onChange(joint);
    joint();
  }
})();
