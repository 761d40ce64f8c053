// What joins the page to its libraries: DataTables makes the tables, Plotly the charts.
const DataTable = bundle.default;
const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const text = DataTable.render.text();
const ALL = "\u0000";
const LONG = ["head", "sample"];

function column(grid, name) {
  const digits = grid.digits[name];
  const shown = digits === undefined ? text.display : (value) => (value === null ? "" : value.toFixed(digits));
  const picture = (value) =>
    typeof value === "number" ? `<img alt="" src="data:image/jpeg;base64,${grid.pictures[value]}">` : (value ?? "");
  return {
    title: name,
    orderable: !grid.unsorted.includes(name),
    searchable: name !== "picture",
    className: digits !== undefined ? "number" : LONG.includes(name) ? "long" : "",
    defaultContent: "",
    render: { _: (value) => value, display: name === "picture" ? picture : shown },
  };
}

function addFilters(name, grid, table) {
  const row = document.querySelector(`.filters[data-for=${name}]`);
  for (const title of grid.filters) {
    const place = grid.columns.indexOf(title);
    const values = [...new Set(grid.rows.map((one) => String(one[place] ?? "")))];
    if (values.length < 2) continue;
    const label = row.appendChild(document.createElement("label"));
    label.textContent = `${title} `;
    const select = label.appendChild(document.createElement("select"));
    select.append(new Option("all", ALL), ...values.map((value) => new Option(value || "(none)", value)));
    const isWanted = (_, one) => String(one[place] ?? "") === select.value;
    select.onchange = () => table.search.fixed(title, select.value === ALL ? null : isWanted).draw();
  }
}

for (const [name, grid] of Object.entries(data.grids)) {
  const table = new DataTable(`table[data-grid=${name}]`, {
    data: grid.rows,
    columns: grid.columns.map((title) => column(grid, title)),
    order: [],
    pageLength: 25,
    deferRender: true,
    autoWidth: false,
    createdRow: (row, _, place) => (grid.bold[place] ?? []).forEach((k) => row.cells[k].classList.add("best")),
  });
  addFilters(name, grid, table);
}

function coloured(figure) {
  const style = getComputedStyle(document.documentElement);
  const look = (key, value) => (/color$/.test(key) ? style.getPropertyValue(value).trim() : value);
  return JSON.parse(JSON.stringify(figure), look);
}

function draw(place) {
  const usual = {
    margin: { l: 8, r: 12, t: 8, b: 48 },
    showlegend: false,
    dragmode: false,
    hovermode: "closest",
    font: { color: "--ink", family: "system-ui, sans-serif", size: 13 },
    paper_bgcolor: "--clear",
    plot_bgcolor: "--clear",
    hoverlabel: { bgcolor: "--surface", bordercolor: "--ink", font: { color: "--ink" } },
  };
  const { data: traces, layout } = data.charts[place.dataset.chart];
  for (const axis of [layout.xaxis, layout.yaxis]) Object.assign(axis, { gridcolor: "--line", fixedrange: true });
  const figure = coloured({ data: traces, layout: { ...usual, ...layout } });
  Plotly.react(place, figure.data, figure.layout, { responsive: true, displayModeBar: false });
}

function show(group) {
  for (const article of document.querySelectorAll("article")) {
    article.hidden = article.dataset.group !== group;
    if (!article.hidden) article.querySelectorAll(".chart").forEach(draw);
  }
}

function follow() {
  document.documentElement.classList.toggle("dark", dark.matches);
  show(select.value);
}

const select = document.getElementById("group");
document.getElementById("chooser").hidden = select.options.length < 2;
select.onchange = () => show(select.value);
dark.onchange = follow;
follow();
document.documentElement.dataset.ready = "";
