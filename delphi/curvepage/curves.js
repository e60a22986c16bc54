// Runs and forecasts: the numbers are delphi's, nothing is fitted here. Others use delphi.curves.
(function () {
  "use strict";
  var shell = window.delphi;
  var data = shell.read("curve-data");
  var root = document.documentElement;
  var drawn = 0, waiting = 0;
  // dark to light would hide the largest scale on white: colours go from light to dark with scale
  var shades = ["#8FB8DE", "#5F97CC", "#3F79B5", "#2A5C96", "#174377", "#0C2A52"];
  var colours = ["#2F55B0", "#C4650A", "#2E7D4F", "#8C3FA0", "#A8323E", "#5B6B7A",
    "#0E8A99", "#8A6D0B", "#C2478F", "#6B4A2B", "#5F9E1F", "#6C63D6"];
  var symbols = ["circle", "square", "star", "pentagon", "hexagon", "cross"];

  function byId(id) { return document.getElementById(id); }
  function number(id) { return Number(byId(id).value); }
  function text(value, digits) {
    if (value === null || value === undefined || !isFinite(value)) { return "-"; }
    var short = Number(Number(value).toPrecision(digits || 4));
    return (Math.abs(short) >= 1e6 ? short.toExponential() : String(short)).replace("e+", "e");
  }
  function fixed(value) { return value === null || value === undefined ? "-" : value.toFixed(4); }
  function safe(name) { // for plotly, which reads some markup
    return String(name).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }
  function fill(id, rows, numeric) {
    var body = byId(id).tBodies[0];
    body.textContent = "";
    rows.forEach(function (row) {
      var line = body.insertRow();
      row.forEach(function (cell, i) {
        var box = document.createElement(i ? "td" : "th");
        if (!i) { box.scope = "row"; }
        if (numeric[i]) { box.className = "n"; } else if (String(cell).length > 20) { box.className = "wide"; }
        box.textContent = cell;
        line.appendChild(box);
      });
    });
    if (!rows.length) {
      var box = body.insertRow().insertCell();
      box.colSpan = numeric.length;
      box.textContent = "none";
    }
  }
  function spread(list, most) {
    if (list.length <= most) { return list; }
    var kept = [];
    for (var i = 0; i < most; i++) { kept.push(list[Math.round(i * (list.length - 1) / (most - 1))]); }
    return kept;
  }
  function shade(i, n) {
    return shades[n > 1 ? Math.round(i * (shades.length - 1) / (n - 1)) : shades.length - 2];
  }
  function draw(id, traces, layout) {
    var small = shell.narrow();
    var base = {
      template: JSON.parse(JSON.stringify(shell.template)), height: small ? 420 : 480, autosize: true,
      margin: { l: small ? 48 : 62, r: small ? 10 : 18, t: 16, b: 110 },
      legend: { orientation: "h", x: 0.5, xanchor: "center", y: -0.2, yanchor: "top",
        font: { size: small ? 11 : 12 } },
      hovermode: "closest", uirevision: id,
    };
    var figure = { data: traces, layout: Object.assign(base, layout) };
    if (shell.paper()) { figure.layout.width = 680; }
    if (shell.dark()) { figure = shell.recolour(figure, ""); }
    var label = byId(id).getAttribute("data-label");
    waiting++;
    Plotly.react(byId(id), figure.data, figure.layout, shell.options).then(function () {
      shell.named(byId(id), label);
      byId(id).style.minHeight = "";
      drawn++;
      if (!--waiting) { root.setAttribute("data-live", drawn); }
    });
  }

  // ---- the four shapes, s(0) = 1 and s(1) = 0
  function shape(form, tau, t0, t1) {
    if (form === "log") { return 1 - Math.log1p(t0 * tau) / Math.log1p(t0); }
    if (form === "exponential") { return 1 - Math.expm1(-t0 * tau) / Math.expm1(-t0); }
    if (form === "power") {
      return 1 - Math.expm1(-t1 * Math.log1p(tau / t0)) / Math.expm1(-t1 * Math.log1p(1 / t0));
    }
    var part = tau > 0 ? Math.expm1(t0 * Math.log(tau)) : -1;
    return -part / (1 + t1 * (1 + part));
  }

  function chosen() {
    var picked = { scale: number("pick-scale"), mix: number("pick-mix"), lr: number("pick-lr") };
    return data.run.map(function (_, r) { return r; }).filter(function (r) {
      return ["scale", "mix", "lr"].every(function (axis) {
        return picked[axis] < 0 || data[axis][r] === picked[axis];
      });
    });
  }
  function method() {
    var form = byId("pick-form").selectedOptions[0].textContent;
    var loss = byId("pick-loss").selectedOptions[0].textContent;
    return data.methods.indexOf(form) >= 0 ? form : form + "-" + loss;
  }
  function show() {
    var p = number("pick-prefix"), prefix = data.prefixes[p], name = method();
    var fit = data.fits[name], runs = chosen(), width = data.prefixes.length;
    var form = data.forms[name], traces = [];
    byId("pick-prefix-value").textContent = text(prefix, 3);
    byId("pick-prefix").setAttribute("aria-valuetext", text(prefix, 3) + " of the run");
    byId("pick-loss").disabled = !form;
    var shown = spread(runs, data.most_runs), inLegend = {}, low = Infinity, high = -Infinity;
    var one = number("pick-scale") >= 0 || data.scales.length < 2;
    shown.forEach(function (r) {
      var key = one ? data.mix[r] : data.scale[r];
      var colour = one ? colours[key % colours.length] : shade(key, data.scales.length);
      var name = safe(one ? data.mixes[key] : data.scales[key]);
      traces.push({
        x: data.tau[r], y: data.loss[r], mode: "lines", name: name, legendgroup: "k" + key,
        showlegend: !inLegend[key], line: { color: colour, width: 1.5 }, opacity: 0.5,
        hovertemplate: safe(data.run[r]) + "<br>%{x:.3f}: %{y:.4f}<extra></extra>",
      });
      inLegend[key] = true;
      data.tau[r].forEach(function (tau, i) {
        if (tau >= 0.05) { low = Math.min(low, data.loss[r][i]); high = Math.max(high, data.loss[r][i]); }
      });
      var k = r * width + p;
      if (form && fit.F[k] !== null) {
        var x = [], y = [];
        for (var i = 0; i <= 30; i++) {
          x.push(prefix + (1 - prefix) * i / 30);
          y.push(fit.F[k] + fit.A[k] * shape(form, x[i], fit.t0[k], fit.t1[k]));
        }
        traces.push({ x: x, y: y, mode: "lines", showlegend: false, hoverinfo: "skip",
          line: { color: colour, width: 2.2, dash: "dash" }, meta: "continuation" });
      }
      [data.actual[r], fit.final[k]].forEach(function (v) {
        if (v !== null) { low = Math.min(low, v); high = Math.max(high, v); }
      });
    });
    function marks(label, values, symbol, color) {
      var list = shown.filter(function (r) { return values(r) !== null; });
      traces.push({
        x: list.map(function () { return 1; }), y: list.map(values), mode: "markers", name: label,
        text: list.map(function (r) { return safe(data.run[r]); }), cliponaxis: false,
        // a thin cross leaves the diamond under it to be seen
        marker: { symbol: symbol, size: 10, color: color,
          line: symbol === "diamond" ? { width: 1, color: "#ffffff" } : { width: 2.5, color: color } },
        hovertemplate: "%{text}<br>" + label + " %{y:.4f}<extra></extra>",
      });
    }
    marks("observed final", function (r) { return data.actual[r]; }, "diamond", "#22252b");
    marks("forecast", function (r) { return fit.final[r * width + p]; }, "x-thin", "#D81B60");
    var room = 0.04 * (high - low || 1);
    draw("live-trajectories", traces, {
      xaxis: { title: { text: "progress of the run" }, range: [0, 1.03] },
      yaxis: { title: { text: "loss" }, range: isFinite(low) ? [low - room, high + room] : undefined },
      shapes: [{ type: "line", x0: prefix, x1: prefix, y0: 0, y1: 1, yref: "paper",
        line: { color: "#8a857b", width: 1.5, dash: "dot" } }],
    });
    var errors = runs.map(function (r) { return fit.error[r * width + p]; })
      .filter(function (e) { return e !== null; });
    var sum = errors.reduce(function (a, b) { return a + b; }, 0);
    byId("trajectories-said").textContent = errors.length ?
      name + " from prefix " + text(prefix, 3) + ": mean error " + text(sum / errors.length) +
      ", worst " + text(Math.max.apply(null, errors)) + " on " + errors.length + " finished runs" :
      name + ": no finished run with a forecast";
    var most = 60;
    fill("run-table", runs.slice(0, most).map(function (r) {
      var k = r * width + p;
      return [data.run[r], fixed(fit.final[k]), fixed(fit.low[k]), fixed(fit.high[k]),
        fixed(data.actual[r]), text(fit.error[k]), fit.status[k] || "ok"];
    }), [0, 1, 1, 1, 1, 1, 0]);
    byId("run-note").textContent = "low and high: " + 100 * data.level + "% conformal intervals." +
      (runs.length > most ? " The first " + most + " of " + runs.length + " runs; the CSV has all." : "");
  }
  ["pick-scale", "pick-mix", "pick-lr", "pick-form", "pick-loss"].forEach(function (id) {
    byId(id).addEventListener("change", show);
  });
  byId("pick-prefix").addEventListener("input", show);
  shell.onChange(show);

  // ---- the card of one run's fit
  if (byId("card-run")) {
    var cards = shell.read("curve-cards"), table = byId("run-card");
    var card = function () {
      var one = cards[number("card-run")];
      table.caption.textContent = "Fit card of " + one.name;
      while (table.tBodies.length) { table.removeChild(table.tBodies[0]); }
      one.sections.forEach(function (section) {
        var body = table.createTBody(), head = document.createElement("th");
        head.colSpan = 2;
        head.scope = "rowgroup";
        head.className = "group";
        head.textContent = section[0];
        body.insertRow().appendChild(head);
        section[1].forEach(function (field) {
          var line = body.insertRow(), name = document.createElement("th");
          name.scope = "row";
          name.textContent = field[0];
          line.appendChild(name);
          var cell = line.insertCell();
          field[1].split("\n").forEach(function (words, i) {
            if (i) { cell.appendChild(document.createElement("br")); }
            cell.appendChild(document.createTextNode(words));
          });
        });
      });
    };
    byId("card-run").addEventListener("change", card);
    card();
  }
  shell.curves = {
    data: data, byId: byId, number: number, text: text, fixed: fixed, safe: safe, fill: fill, draw: draw,
    shade: shade, colours: colours, symbols: symbols, spread: spread,
  };
  show();
})();
