// The search for a target over the errors that delphi measured: the rules of search_configs.
(function () {
  "use strict";
  var kit = window.delphi.curves, data = kit.data, width = data.prefixes.length;
  var names = data.methods.slice().sort(function (a, b) { return a < b ? -1 : a > b ? 1 : 0; });

  function errorOf(method, prefix, r) {
    var e = data.fits[method].error[r * width + prefix];
    return e === null ? Infinity : e;
  }
  // One a method and prefix, in the order of their names, with the errors of the runs.
  function configs(runs) {
    var out = [];
    names.forEach(function (method) {
      data.prefixes.forEach(function (prefix, p) {
        out.push({ method: method, prefix: prefix,
          errors: runs.map(function (r) { return errorOf(method, p, r); }) });
      });
    });
    return out;
  }
  function most(list) { return list.reduce(function (a, b) { return Math.max(a, b); }, 0); }
  function mean(list) {
    return list.reduce(function (a, b) { return a + b; }, 0) / list.length;
  }
  function searched(runs, target) {
    var found = configs(runs);
    found.forEach(function (c) {
      c.n = runs.length;
      c.worst = most(c.errors);
      c.mae = c.errors.every(isFinite) ? mean(c.errors) : null;
      c.qualifies = c.worst <= target;
    });
    return found.sort(function (a, b) { // stable: ties stay in the order of names
      return b.qualifies - a.qualifies || a.prefix - b.prefix ||
        (a.worst === b.worst ? 0 : a.worst < b.worst ? -1 : 1);
    });
  }
  // Each run left out in turn: the earliest that qualifies on the others, judged on it.
  function crossValidated(runs, target) {
    var all = configs(runs), picked = [], prefixes = [];
    runs.forEach(function (_, r) {
      var best = null, least = Infinity;
      if (runs.length < 2) { return; }
      all.forEach(function (c) {
        var worst = 0;
        for (var i = 0; i < runs.length; i++) {
          if (i !== r && c.errors[i] > worst) { worst = c.errors[i]; }
        }
        if (worst <= target && (best === null || c.prefix < best.prefix ||
            (c.prefix === best.prefix && worst < least))) {
          best = c;
          least = worst;
        }
      });
      if (best) { picked.push(best.errors[r]); prefixes.push(best.prefix); }
    });
    return { n: picked.length, prefix: mean(prefixes), worst: most(picked),
      hit: picked.filter(function (e) { return e <= target; }).length / picked.length };
  }
  function finished(mix, lr) {
    return data.run.map(function (_, r) { return r; }).filter(function (r) {
      return data.actual[r] !== null && (mix < 0 || data.mix[r] === mix) &&
        (lr < 0 || data.lr[r] === lr);
    });
  }
  function row(c) {
    return [c.method, kit.text(c.prefix, 3), String(c.n), kit.text(c.mae), kit.text(c.worst),
      c.qualifies ? "yes" : "no"];
  }
  function perScale(runs, target) {
    var rows = [];
    data.scales.forEach(function (name, s) {
      var own = runs.filter(function (r) { return data.scale[r] === s; });
      if (own.length) {
        var c = searched(own, target)[0];
        rows.push([name].concat(c.qualifies ? row(c) : ["none", "-", String(own.length), "-", "-", "no"]));
      }
    });
    return rows;
  }
  var numeric = [0, 1, 1, 1, 1, 0], shown = 12;
  function show() {
    var field = kit.byId("target"), target = Number(field.value);
    var good = field.value.trim() !== "" && isFinite(target) && target > 0;
    field.setAttribute("aria-invalid", String(!good));
    if (!good) {
      kit.byId("search-said").textContent = "The target must be a number above 0.";
      kit.byId("search-cv").textContent = "";
      return;
    }
    var runs = finished(kit.number("search-mix"), kit.number("search-lr"));
    var all = finished(-1, -1);
    if (!runs.length) {
      kit.byId("search-said").textContent = "No finished run in this regime.";
      kit.byId("search-cv").textContent = "";
      ["search-table", "search-scales"].forEach(function (id) { kit.fill(id, [], numeric); });
      return;
    }
    var found = searched(runs, target), best = found[0], cv = crossValidated(runs, target);
    kit.byId("search-said").textContent = best.qualifies ?
      "Earliest: " + best.method + " from prefix " + kit.text(best.prefix, 3) + ", worst error " +
      kit.text(best.worst) + ", mae " + kit.text(best.mae) + " on " + best.n + " runs." :
      "No configuration qualifies on the " + runs.length + " runs of this regime.";
    kit.byId("search-cv").textContent = cv.n ?
      "Cross-validated: chosen without the run it is judged on, it is within the target " +
      kit.text(100 * cv.hit, 3) + "% of " + cv.n + " times, worst " + kit.text(cv.worst) +
      ", mean prefix " + kit.text(cv.prefix, 3) + "." :
      "Cross-validated: nothing qualifies without the run left out.";
    kit.fill("search-table", found.slice(0, shown).map(row), numeric);
    kit.byId("search-note").textContent = "The first " + Math.min(shown, found.length) + " of " +
      found.length + " configurations, " +
      found.filter(function (c) { return c.qualifies; }).length + " of which qualify.";
    kit.fill("search-all", searched(all, target).slice(0, shown).map(row), numeric);
    kit.fill("search-scales", perScale(runs, target), [0].concat(numeric));
    kit.fill("search-all-scales", perScale(all, target), [0].concat(numeric));
  }
  kit.byId("target").addEventListener("input", show);
  ["search-mix", "search-lr"].forEach(function (id) {
    kit.byId(id).addEventListener("change", show);
  });
  show();
})();
