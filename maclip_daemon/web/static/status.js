// Keeps the status page up to date. Everything is set as text.
const INTERVAL_MS = 5000;
const byId = (id) => document.getElementById(id);

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function show(report) {
  const headline = byId("headline");
  if (headline.textContent !== report.headline) headline.textContent = report.headline;
  headline.dataset.good = String(report.is_good);
  byId("waiting").hidden = report.waits.length === 0;
  for (const id of ["waits", "folders"]) {
    byId(id).replaceChildren(...report[id].map((line) => element("li", line)));
  }
  byId("figures").replaceChildren(
    ...Object.entries(report.figures).map(([name, value]) => {
      const row = document.createElement("div");
      row.append(element("dt", name), element("dd", value));
      return row;
    }),
  );
}

async function look() {
  try {
    const answer = await fetch("/api/status");
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    byId("seen").textContent = "";
  } catch {
    byId("seen").textContent = "maclip does not answer; perhaps it has stopped.";
  }
}

setInterval(() => { if (!document.hidden) look(); }, INTERVAL_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
