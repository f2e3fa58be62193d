// What the pages do beyond HTML: charts drawn from the tables beside them, and links that leave Airflow's frame.
(() => {
  "use strict";

  // Airflow's frame forbids pages to open windows or to leave it. Its own document may: the link is followed there.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-leaves]");
    if (!link || window.top === window || event.defaultPrevented) return;
    event.preventDefault();
    const outside = link.dataset.leaves === "outside";
    const there = window.parent.document;
    const copy = there.createElement("a");
    copy.href = link.href;
    copy.rel = "noopener noreferrer";
    if (outside) copy.target = "_blank";
    there.body.append(copy);
    copy.click();
    copy.remove();
  });

  // A filter that is chosen is meant; the button stays for keyboards and for pages without scripts.
  document.querySelectorAll("form[data-filter] select").forEach((field) => {
    field.addEventListener("change", () => field.form.requestSubmit());
  });
  // Empty filters make no address longer.
  document.querySelectorAll("form[data-filter]").forEach((form) => {
    form.addEventListener("submit", () => {
      form.querySelectorAll("input, select").forEach((field) => {
        if (!field.value) field.disabled = true;
      });
    });
  });

  // On a narrow screen filters are folded away, unless one is set.
  const narrow = window.matchMedia("(max-width: 600px)");
  const fold = () => {
    document.querySelectorAll("details[data-fold]").forEach((part) => {
      part.open = !narrow.matches;
    });
  };
  fold();
  narrow.addEventListener("change", fold);

  // What was just done is said once, not again whenever the page is loaded anew.
  const address = new URL(window.location.href);
  if (address.searchParams.has("did")) {
    address.searchParams.delete("did");
    window.history.replaceState(window.history.state, "", address);
  }

  // A run that is being sent loads itself anew, but takes nothing away from somebody who reads or decides.
  document.addEventListener("click", (event) => {
    const part = event.target.closest("summary")?.parentElement;
    if (part) part.dataset.read = "true";
  });
  const busy = () =>
    document.hidden ||
    document.querySelector(":popover-open, details[data-read][open]") !== null ||
    !window.getSelection().isCollapsed;
  const moving = document.querySelector("[data-reload]");
  if (moving) {
    // The browser keeps the scroll position of a page that is loaded anew.
    window.setInterval(() => busy() || window.location.reload(), 1000 * Number(moving.dataset.reload));
  }

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  // The table is what is true; the chart shows the same cells.
  const read = (table) => {
    const heads = [...table.tHead.rows[0].cells].slice(1);
    const rows = [...table.tBodies[0].rows];
    return {
      labels: rows.map((row) => row.cells[0].dataset.label || row.cells[0].textContent.trim()),
      series: heads.map((head, n) => ({
        key: head.dataset.series || "count",
        label: head.textContent.trim(),
        data: rows.map((row) => Number(row.cells[n + 1].dataset.value || 0)),
      })),
    };
  };

  const options = (figure, many) => {
    const grid = { color: style("--border") };
    const ticks = { color: style("--fg-muted"), font: { family: style("--font"), size: 11 } };
    return {
      responsive: true,
      maintainAspectRatio: false,
      animation: calm.matches ? false : { duration: 250 },
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: {
          display: many,
          position: "bottom",
          labels: { color: style("--fg"), boxWidth: 10, boxHeight: 10, font: { family: style("--font"), size: 12 } },
        },
        tooltip: { backgroundColor: style("--fg"), titleColor: style("--bg"), bodyColor: style("--bg"), padding: 8 },
      },
      scales: {
        x: { grid: { display: false }, border: { color: style("--border") }, ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 16 } },
        y: { beginAtZero: true, grid, border: { display: false }, ticks: { ...ticks, precision: 0, maxTicksLimit: 6 } },
      },
    };
  };

  const draw = (figure) => {
    const { labels, series } = read(figure.querySelector("table"));
    const kind = figure.dataset.chart;
    const datasets = series.map(({ key, label, data }) => {
      const colour = style(`--${key.replaceAll("_", "-")}`) || style("--accent");
      const line = { borderColor: colour, backgroundColor: colour, borderWidth: 2, pointRadius: data.length > 1 ? 0 : 3, pointHitRadius: 8 };
      return { label, data, tension: 0.25, ...(kind === "line" ? line : { backgroundColor: colour, borderRadius: 2, maxBarThickness: 48 }) };
    });
    const canvas = figure.querySelector("canvas");
    Chart.getChart(canvas)?.destroy();
    new Chart(canvas, { type: kind, data: { labels, datasets }, options: options(figure, datasets.length > 1) });
    figure.dataset.drawn = "true";
  };

  const drawAll = () => document.querySelectorAll("figure[data-chart]").forEach(draw);
  if (window.Chart) {
    drawAll();
    // Colours come from the style sheet: another mode means other colours.
    document.addEventListener("colour-mode", drawAll);
  }
})();
