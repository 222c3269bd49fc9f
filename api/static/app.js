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

let asking = false;
async function refresh() {
  if (asking || document.querySelector("dialog[open]") || playing()) return refreshSoon(1000);
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) location.href = answer.url;
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const one of document.querySelectorAll("[data-passing]")) if (!page.getElementById(one.id)) one.remove();
    for (const fresh of page.querySelectorAll("[data-fresh]")) {
      const old = document.getElementById(fresh.id);
      if (old && old.innerHTML !== fresh.innerHTML && !old.contains(document.activeElement)) replace(old, fresh);
    }
  } catch {
    refreshSoon(POLL_MS);  // the server is away
  } finally {
    asking = false;
  }
}

function replace(old, fresh) {
  const open = [...old.querySelectorAll("details[open]")].map((one) => one.id);
  const chosen = [...old.querySelectorAll("input[name=chosen]:checked")].map((one) => one.value);
  old.innerHTML = fresh.innerHTML;
  for (const one of old.querySelectorAll("details")) if (open.includes(one.id)) one.open = true;
  for (const one of old.querySelectorAll("input[name=chosen]")) one.checked = chosen.includes(one.value);
  localTimes(old);
}

function playing() {
  return [...document.querySelectorAll("video, audio")].some((one) => !one.paused);
}

// -- news

let ended = false;  // the job of this page, as far as its events tell
function listen(address, hear) {
  const source = new EventSource(address);
  source.onopen = () => show("live", true);
  source.onmessage = (message) => hear(message.data);
  source.onerror = () => {
    show(ended ? "ended" : "not connected", false);
    refreshSoon(ended ? 0 : POLL_MS);
    // A browser comes back by itself, unless the answer was none of a stream: 204 at the end, or an error on the way.
    if (source.readyState === EventSource.CLOSED && !ended) setTimeout(() => listen(address, hear), POLL_MS);
  };
}

function show(text, on) {
  if (!live) return;
  live.textContent = text;
  live.classList.toggle("on", on);
}

let due = 0;
function refreshSoon(wait = 150) {
  due ||= setTimeout(() => { due = 0; refresh(); }, wait);
}

function showEvent(data) {
  const event = JSON.parse(data);
  const bar = document.querySelector("#progress");
  if (bar && event.progress >= bar.value) {
    bar.value = event.progress;
    document.querySelector("#percent").textContent = `${Math.round(event.progress)} %`;
    document.querySelector("#stage").textContent = event.message || event.stage || "";
  }
  // An earlier run of the job may have ended too: the server knows when nothing more will come.
  ended = ["completed", "failed", "cancelled", "quarantined"].includes(event.status);
  refreshSoon();
}

// -- buttons: <button data-ask="POST /jobs/x/cancel" data-body='{}' data-then="/ui/jobs/y">

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-ask]");
  if (!button) return;
  if (button.dataset.sure && !confirm(button.dataset.sure)) return;
  const [method, path] = button.dataset.ask.split(" ");
  let body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
  if (button.dataset.chosen) {
    body = { ids: [...document.querySelectorAll("input[name=chosen]:checked")].map((one) => one.value) };
    if (!body.ids.length) return tell("choose some jobs first");
  }
  button.disabled = true;
  try {
    const answer = await ask(method, path, body);
    tell(outcome(answer), "");
    if (button.dataset.then) location.href = button.dataset.then.replace("{job_id}", encodeURIComponent(answer.job_id));
    else await refresh();
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
  }
});

function outcome(answer) {
  const done = answer.retried ?? answer.cancelled;
  if (!done) return answer.delivery ? `${answer.delivery} is on its way` : "";
  const refused = Object.values(answer.refused);
  return `${done.length} jobs ${answer.retried ? "stand in their queues again" : "are cancelled, or will be at their next safe point"}` + (refused.length ? `; ${refused.length} do not: ${refused[0]}` : "");
}

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

// -- an address that is told of jobs

document.querySelector("#webhook")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const body = { url: form.url.value, events: [...form.querySelectorAll("[name=event]:checked")].map((one) => one.value) };
  if (form.tenant) body.tenant = form.tenant.value;
  try {
    await ask("POST", "/webhooks", body);
    location.reload();
  } catch (error) {
    form.querySelector("[role=alert]").textContent = error.message;
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
