// What pages share: theme, colours, contents. Other scripts of the page find it as window.delphi.
(function () {
  "use strict";
  var root = document.documentElement;
  var narrow = window.matchMedia("(max-width: 40rem)");
  var sidebar = window.matchMedia("(min-width: 72rem)");
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  var chosen = null; // "dark" or "light" once somebody said so; kept nowhere but here
  var paper = false; // being printed
  var redraws = []; // what to call when colours or width change

  function read(id) { return JSON.parse(document.getElementById(id).textContent); }
  function dark() { return !paper && (chosen === null ? system.matches : chosen === "dark"); }
  function redraw() { redraws.forEach(function (call) { call(paper); }); }

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
      return typeof value[0] === "number" && typeof value[1] !== "string" ? value :
        value.map(function (item) { return recolour(item, key); });
    }
    if (value && typeof value === "object") {
      Object.keys(value).forEach(function (k) { value[k] = recolour(value[k], k); });
    }
    return value;
  }

  // The picture is one image with a text; the buttons over it stay buttons.
  function named(plot, label) {
    plot.removeAttribute("role");
    plot.removeAttribute("aria-label");
    Array.prototype.forEach.call(plot.querySelectorAll(".main-svg"), function (svg, i) {
      if (i) { svg.setAttribute("aria-hidden", "true"); return; }
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", label);
    });
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
  window.addEventListener("beforeprint", function () { paper = true; redraw(); });
  window.addEventListener("afterprint", function () { paper = false; redraw(); });

  showTheme();
  fold();
  mark();
  window.delphi = {
    read: read, dark: dark, recolour: recolour, named: named, template: read("delphi-template"),
    narrow: function () { return narrow.matches && !paper; },
    paper: function () { return paper; },
    onChange: function (call) { redraws.push(call); },
    options: {
      responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]],
    },
  };
})();
