// Keeps pages live and sends what buttons ask for. Everything else is in the page already.
"use strict";

const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";
const main = document.querySelector("main");
const live = document.querySelector(".live");
const POLL_MS = 5000;

// -- asking

async function ask(method, path, body, type = "application/json") {
  const headers = { "X-CSRF-Token": csrf };
  if (body !== undefined) headers["Content-Type"] = type;
  const answer = await fetch(path, { method, headers, body: body instanceof File || body === undefined ? body : JSON.stringify(body) });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.detail ?? `the server answered ${answer.status}`);
  return content;
}

function tell(text, kind = "bad") {
  const place = document.querySelector("#told");
  place.textContent = text;
  place.className = `note ${kind}`;
  place.hidden = !text;
  if (text) place.scrollIntoView({ block: "nearest" });
}

// -- times in the reader's own zone

function localTimes(root) {
  for (const one of root.querySelectorAll("time[datetime]")) {
    if (one.dateTime) one.textContent = new Date(one.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
  }
}

// -- fresh pages: the server makes them, and what a person is at is kept

let asked = false;
async function refresh() {
  if (asked || document.querySelector("dialog[open]") || playing()) return;
  asked = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const one of document.querySelectorAll("[data-passing]")) if (!page.getElementById(one.id)) one.remove();
    for (const fresh of page.querySelectorAll("[data-fresh]")) {
      const old = document.getElementById(fresh.id);
      if (!old || old.innerHTML === fresh.innerHTML || old.contains(document.activeElement)) continue;
      const open = new Set([...old.querySelectorAll("details[open]")].map((one) => one.id));
      old.innerHTML = fresh.innerHTML;
      for (const one of old.querySelectorAll("details")) if (open.has(one.id)) one.open = true;
      localTimes(old);
    }
  } finally {
    asked = false;
  }
}

function playing() {
  return [...document.querySelectorAll("video, audio")].some((one) => !one.paused);
}

// -- news

function listen(address, hear) {
  let timer = 0;
  const source = new EventSource(address);
  source.onopen = () => { clearInterval(timer); timer = 0; live?.classList.add("on"); if (live) live.textContent = "live"; };
  source.onmessage = (message) => hear(message.data, source);
  source.onerror = () => {
    live?.classList.remove("on");
    if (live) live.textContent = source.readyState === EventSource.CLOSED ? "ended" : "asking every 5 s";
    if (source.readyState !== EventSource.CLOSED && !timer) timer = setInterval(refresh, POLL_MS);
  };
}

let due = 0;
function refreshSoon(wait = 150) {
  clearTimeout(due);
  due = setTimeout(refresh, wait);
}

function showEvent(data, source) {
  const event = JSON.parse(data);
  const bar = document.querySelector("#progress");
  if (bar && event.progress >= bar.value) {
    bar.value = event.progress;
    document.querySelector("#percent").textContent = `${Math.round(event.progress)} %`;
    document.querySelector("#stage").textContent = event.message || event.stage || "";
  }
  refreshSoon();
  if (["completed", "failed", "cancelled", "quarantined"].includes(event.status)) source.close();
}

// -- buttons: <button data-ask="POST /jobs/x/cancel" data-body='{}' data-then="/ui/jobs/y">

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-ask]");
  if (!button) return;
  if (button.dataset.sure && !confirm(button.dataset.sure)) return;
  const [method, path] = button.dataset.ask.split(" ");
  let body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
  if (button.dataset.chosen) body = { ids: [...document.querySelectorAll("input[name=chosen]:checked")].map((one) => one.value) };
  button.disabled = true;
  try {
    const answer = await ask(method, path, body);
    tell(button.dataset.told ?? "", "");
    if (button.dataset.then) location.href = button.dataset.then.replace("{job_id}", encodeURIComponent(answer.job_id));
    else await refresh();
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("button[data-open]");
  if (opener) document.getElementById(opener.dataset.open).showModal();
  if (event.target.closest("button[data-close]")) event.target.closest("dialog").close();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  if (event.target.matches("#all")) for (const one of document.querySelectorAll("input[name=chosen]")) one.checked = event.target.checked;
});

// -- a job run anew from a stage on

document.querySelector("#replay")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    const payload = JSON.parse(form.payload.value || "{}");
    const made = await ask("POST", form.dataset.path, { from: form.from.value, payload });
    location.href = `/ui/jobs/${encodeURIComponent(made.job_id)}`;
  } catch (error) {
    form.querySelector("[role=alert]").textContent = error instanceof SyntaxError ? "the changes are no JSON" : error.message;
  }
});

// -- a new job

async function valueOf(input) {
  const widget = input.dataset.widget;
  if (widget === "check") return input.checked;
  if (widget === "file" || widget === "files") {
    const found = [];
    for (const file of input.files) found.push(await ask("POST", `/uploads?name=${encodeURIComponent(file.name)}`, file, "application/octet-stream"));
    return widget === "files" ? (found.length ? found : undefined) : found[0];
  }
  if (input.value.trim() === "") return undefined;
  if (widget === "number") return Number(input.value);
  if (widget === "lines") return input.value.split("\n").map((one) => one.trim()).filter(Boolean);
  if (widget === "json") {
    try { return JSON.parse(input.value); } catch { throw new Error(`${input.name}: this is no JSON`); }
  }
  return input.value;
}

document.querySelector("#new")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    const payload = {};
    for (const input of form.querySelectorAll("[data-widget]")) {
      const value = await valueOf(input);
      const unchanged = input.dataset.widget === "check" ? value === (input.dataset.default === "on") : input.value === input.dataset.default;
      if (value !== undefined && (!unchanged || input.required)) payload[input.name] = value;
    }
    const body = { pipeline: form.dataset.pipeline, payload, priority: form.priority.value };
    if (form.tenant?.value) body.tenant = form.tenant.value;
    const made = await ask("POST", "/jobs", body);
    location.href = `/ui/jobs/${encodeURIComponent(made.job_id)}`;
  } catch (error) {
    tell(error.message);
    button.disabled = false;
  }
});

localTimes(document);
if (main?.dataset.events) listen(main.dataset.events, showEvent);
else if (main?.dataset.news) listen(main.dataset.news, () => refreshSoon());
