(function () {
  "use strict";
  var options = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };
  var plots = Array.prototype.slice.call(document.querySelectorAll(".plot"));
  plots.forEach(function (plot) {
    var figure = JSON.parse(document.getElementById(plot.id + "-json").textContent);
    Plotly.newPlot(plot, figure.data, figure.layout, options);
  });
  // Paper is narrower than a screen, and nothing redraws the plots on the way to it.
  var paper = 680;
  window.addEventListener("beforeprint", function () {
    plots.forEach(function (plot) { Plotly.relayout(plot, { width: paper }); });
  });
  window.addEventListener("afterprint", function () {
    plots.forEach(function (plot) { Plotly.relayout(plot, { width: null, autosize: true }); });
  });
})();
