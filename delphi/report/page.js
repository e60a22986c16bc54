(function () {
  "use strict";
  var root = document.documentElement;
  var options = {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]],
  };
  var template = read("delphi-template");
  var narrow = window.matchMedia("(max-width: 40rem)");
  var sidebar = window.matchMedia("(min-width: 72rem)");
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  var chosen = null; // "dark" or "light" once somebody said so; kept nowhere but here
  var paper = false; // being printed

  function read(id) { return JSON.parse(document.getElementById(id).textContent); }
  function dark() { return !paper && (chosen === null ? system.matches : chosen === "dark"); }

  // ---- colours: lightness is mirrored in OKLab, hue stays, so that order and difference do too
  function linear(c) { return c <= 0.04045 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4); }
  function encoded(c) {
    c = Math.min(Math.max(c, 0), 1);
    return Math.round(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * Math.pow(c, 1 / 2.4) - 0.055));
  }
  function mirrored(rgb) {
    var c = rgb.map(function (v) { return linear(v / 255); });
    var l = Math.cbrt(0.4122214708 * c[0] + 0.5363325363 * c[1] + 0.0514459929 * c[2]);
    var m = Math.cbrt(0.2119034982 * c[0] + 0.6806995451 * c[1] + 0.1073969566 * c[2]);
    var s = Math.cbrt(0.0883024619 * c[0] + 0.2817188376 * c[1] + 0.6299787005 * c[2]);
    var L = 1.15 - 0.85 * (0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s);
    var a = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
    var b = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
    l = Math.pow(L + 0.3963377774 * a + 0.2158037573 * b, 3);
    m = Math.pow(L - 0.1055613458 * a - 0.0638541728 * b, 3);
    s = Math.pow(L - 0.0894841775 * a - 1.291485548 * b, 3);
    return [
      encoded(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
      encoded(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
      encoded(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
    ];
  }
  function turned(colour) {
    var named = { white: "#FFFFFF", black: "#000000" };
    var hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(named[colour] || colour);
    if (hex) {
      return "rgb(" + mirrored(hex.slice(1).map(function (h) { return parseInt(h, 16); })) + ")";
    }
    var rgb = /^rgba?\(([\d.]+),\s*([\d.]+),\s*([\d.]+)(?:,\s*([\d.]+))?\)$/.exec(colour);
    if (!rgb) { return colour; }
    return "rgba(" + mirrored(rgb.slice(1, 4).map(Number)) + "," + (rgb[4] || 1) + ")";
  }
  function recolour(value, key) {
    if (typeof value === "string") {
      if (/color(way|scale)?$/i.test(key)) { return turned(value); }
      // Texts carry colours only where the library itself put them: names from data are escaped.
      return key === "text" ? value.replace(/(style="color:)(#[0-9a-f]{6})/gi, function (_, a, c) {
        return a + turned(c);
      }) : value;
    }
    if (Array.isArray(value)) {
      return typeof value[0] === "number" ? value :
        value.map(function (item) { return recolour(item, key); });
    }
    if (value && typeof value === "object") {
      Object.keys(value).forEach(function (k) { value[k] = recolour(value[k], k); });
    }
    return value;
  }

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
    var small = narrow.matches && !paper ? source.narrow : null;
    var frames = changed(source.frames || [], small && small.frames);
    var figure = {
      data: changed(source.data, small && small.data), layout: small ? small.layout : source.layout,
    };
    var layout = figure.layout;
    if (!layout.template) { layout.template = JSON.parse(JSON.stringify(template)); }
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
    if (paper) { layout.width = 680; }
    return dark() ? recolour(figure, "") : figure;
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
    return Plotly.react(state.plot, figure.data, figure.layout, options).then(function () {
      return Promise.all(Object.keys(state.steps).map(function (k) {
        var step = state.steps[k];
        if (step.method === "animate" || step.method === "skip") { return null; }
        return Plotly[step.method].apply(null, [state.plot].concat(step.args));
      }));
    }).then(function () {
      named(state);
      state.drawn = true;
      working(-1);
    }, function (error) {
      working(-1);
      throw error;
    });
  }
  // The picture is one image with a text; the buttons over it stay buttons.
  function named(state) {
    state.plot.removeAttribute("role");
    state.plot.removeAttribute("aria-label");
    Array.prototype.forEach.call(state.plot.querySelectorAll(".main-svg"), function (svg, i) {
      if (i) { svg.setAttribute("aria-hidden", "true"); return; }
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", state.label);
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

  var states = Array.prototype.map.call(document.querySelectorAll(".plot"), function (plot) {
    var state = {
      plot: plot, text: document.getElementById(plot.id + "-json").textContent, steps: {},
      controls: document.getElementById(plot.id + "-controls"), drawn: false,
      label: plot.getAttribute("aria-label"),
    };
    var source = JSON.parse(state.text);
    var layout = narrow.matches && source.narrow ? source.narrow.layout : source.layout;
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
    states.filter(function (state) { return state.drawn; }).forEach(draw);
  }

  // ---- theme
  var button = document.getElementById("theme");
  function showTheme() {
    if (chosen) { root.setAttribute("data-theme", chosen); }
    button.setAttribute("aria-pressed", String(dark()));
  }
  button.hidden = false;
  button.addEventListener("click", function () {
    chosen = dark() ? "light" : "dark";
    showTheme();
    redraw();
  });
  system.addEventListener("change", function () { showTheme(); redraw(); });
  narrow.addEventListener("change", redraw);

  // ---- contents: open beside the text, folded above it
  var contents = document.getElementById("contents");
  function fold() { contents.open = sidebar.matches; }
  sidebar.addEventListener("change", fold);
  contents.addEventListener("click", function (event) {
    if (event.target.tagName === "A" && !sidebar.matches) { contents.open = false; }
  });
  contents.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && !sidebar.matches && contents.open) {
      contents.open = false;
      contents.querySelector("summary").focus();
    }
  });
  var links = {};
  Array.prototype.forEach.call(contents.querySelectorAll("a"), function (link) {
    links[link.getAttribute("href").slice(1)] = link;
  });
  var headings = Object.keys(links).map(function (id) { return document.getElementById(id); });
  var waiting = false;
  function mark() {
    waiting = false;
    var above = headings.filter(function (h) { return h.getBoundingClientRect().top < 120; });
    var here = above.length ? above[above.length - 1].id : headings[0].id;
    Object.keys(links).forEach(function (id) {
      if (id === here) { links[id].setAttribute("aria-current", "true"); }
      else { links[id].removeAttribute("aria-current"); }
    });
  }
  window.addEventListener("scroll", function () {
    if (!waiting) { waiting = true; window.requestAnimationFrame(mark); }
  }, { passive: true });

  // ---- paper is light, and narrower than a screen
  window.addEventListener("beforeprint", function () { paper = true; states.forEach(draw); });
  window.addEventListener("afterprint", function () { paper = false; states.forEach(draw); });

  showTheme();
  fold();
  mark();
  drawNext();
})();
