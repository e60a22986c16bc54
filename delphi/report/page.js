(function () {
  "use strict";
  var shell = window.delphi;
  var root = document.documentElement;

  // ---- one figure: its JSON, the narrow variant, the step of its slider
  function changed(list, patch) {
    if (!patch) { return list; }
    if (patch.all) { return patch.all; }
    return list.map(function (item, i) { return Object.assign({}, item, patch.changed[i]); });
  }
  function moved(figure, frame) {
    (frame.data || []).forEach(function (part, i) {
      Object.assign(figure.data[frame.traces ? frame.traces[i] : i], part);
    });
    Object.keys(frame.layout || {}).forEach(function (key) {
      var part = frame.layout[key];
      figure.layout[key] = Array.isArray(part) ? part :
        Object.assign({}, figure.layout[key], part);
    });
  }
  function composed(state) {
    var source = JSON.parse(state.text);
    var small = shell.narrow() ? source.narrow : null;
    var frames = changed(source.frames || [], small && small.frames);
    var figure = {
      data: changed(source.data, small && small.data), layout: small ? small.layout : source.layout,
    };
    var layout = figure.layout;
    if (!layout.template) { layout.template = JSON.parse(JSON.stringify(shell.template)); }
    Object.keys(state.steps).forEach(function (k) {
      var step = state.steps[k];
      if (step.method === "animate") {
        var frame = frames.filter(function (f) { return f.name === step.args[0][0]; })[0];
        if (frame) { moved(figure, frame); }
      }
    });
    // The page has sliders and menus of its own, which a keyboard and a screen reader can use.
    delete layout.sliders;
    delete layout.updatemenus;
    if (source.room) {
      var margin = layout.margin, plot = layout.height - margin.t - margin.b;
      layout.height -= source.room;
      margin.b -= source.room;
      if (layout.legend) { layout.legend.y += source.room / plot; }
    }
    layout.uirevision = small ? "narrow" : "wide";
    if (shell.paper()) { layout.width = 680; }
    return shell.dark() ? shell.recolour(figure, "") : figure;
  }
  // How many figures are being drawn, for whoever waits until none is.
  var pending = 0;
  function working(step) {
    pending += step;
    root.setAttribute("data-pending", pending);
  }
  function draw(state) {
    var figure = composed(state);
    working(1);
    return Plotly.react(state.plot, figure.data, figure.layout, shell.options).then(function () {
      return Promise.all(Object.keys(state.steps).map(function (k) {
        var step = state.steps[k];
        if (step.method === "animate" || step.method === "skip") { return null; }
        return Plotly[step.method].apply(null, [state.plot].concat(step.args));
      }));
    }).then(function () {
      shell.named(state.plot, state.label);
      state.drawn = true;
      working(-1);
    }, function (error) {
      working(-1);
      throw error;
    });
  }
  // Labels are written for plotly, which reads a little HTML in them.
  function plain(label) {
    return String(label).replace(/&#(\d+);/g, function (_, n) { return String.fromCodePoint(n); })
      .replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  }
  function control(state, words, element) {
    var label = document.createElement("label");
    var output = document.createElement("output");
    label.appendChild(document.createTextNode(words + " "));
    output.id = element.id + "-value";
    label.htmlFor = element.id;
    output.htmlFor = element.id;
    state.controls.appendChild(label);
    state.controls.appendChild(element);
    if (element.type === "range") { state.controls.appendChild(output); }
    return output;
  }
  function addControls(state) {
    var layout = JSON.parse(state.text).layout;
    (layout.sliders || []).forEach(function (slider, i) {
      var range = document.createElement("input");
      var key = "slider-" + i;
      range.type = "range";
      range.id = state.plot.id + "-" + key;
      range.min = 0;
      range.max = slider.steps.length - 1;
      range.step = 1;
      range.value = slider.active || 0;
      var prefix = (slider.currentvalue && slider.currentvalue.prefix || "Step").replace(/:\s*$/, "");
      var output = control(state, prefix, range);
      function show() {
        state.steps[key] = slider.steps[range.value];
        output.textContent = slider.steps[range.value].label;
        range.setAttribute("aria-valuetext", slider.steps[range.value].label);
      }
      show();
      range.addEventListener("input", function () { show(); draw(state); });
    });
    (layout.updatemenus || []).forEach(function (menu, i) {
      var select = document.createElement("select");
      var key = "menu-" + i;
      select.id = state.plot.id + "-" + key;
      menu.buttons.forEach(function (button, j) {
        var option = document.createElement("option");
        option.value = j;
        option.textContent = plain(button.label);
        select.appendChild(option);
      });
      select.value = menu.active || 0;
      control(state, plain(menu.name || "Show"), select);
      var label = state.label;
      select.addEventListener("change", function () {
        state.steps[key] = menu.buttons[select.value];
        state.label = label + " Shown: " + select.options[select.selectedIndex].textContent;
        draw(state);
      });
    });
  }

  var states = Array.prototype.map.call(document.querySelectorAll(".plot:not(.live)"), function (plot) {
    var state = {
      plot: plot, text: document.getElementById(plot.id + "-json").textContent, steps: {},
      controls: document.getElementById(plot.id + "-controls"), drawn: false,
      label: plot.getAttribute("aria-label"),
    };
    var source = JSON.parse(state.text);
    var layout = shell.narrow() && source.narrow ? source.narrow.layout : source.layout;
    // The place is kept free, so that nothing jumps when the figure comes.
    plot.style.minHeight = Math.max(0, (layout.height || 450) - source.room) + "px";
    addControls(state);
    return state;
  });
  // Figures that are seen come first, all others one by one, so that the page answers meanwhile.
  function seen(state) {
    var box = state.plot.getBoundingClientRect();
    return box.bottom > 0 && box.top < window.innerHeight;
  }
  function drawNext() {
    var left = states.filter(function (state) { return !state.drawn; });
    if (!left.length) { root.setAttribute("data-drawn", states.length); return; }
    var next = left.filter(seen)[0] || left[0];
    draw(next).then(function () {
      next.plot.style.minHeight = "";
      window.setTimeout(drawNext, 0);
    });
  }
  function redraw() {
    states.filter(function (state) { return state.drawn || shell.paper(); }).forEach(draw);
  }

  shell.onChange(redraw);
  drawNext();
})();
