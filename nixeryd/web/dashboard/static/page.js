// What every page has: live parts, lines to copy, times that go on, buttons.

import { LogView } from "./log.js";
import { morph } from "./morph.js";
import { suggest } from "./suggest.js";

// ---- Lines to paste into a terminal

const engine = () => localStorage.getItem("engine") ?? "docker";

// Docker takes a registry on localhost as it is; podman wants to be told.
const forPodman = (line) =>
  line.replace(/^docker/, "podman").replace(" --rm", " --rm --tls-verify=false");

function dress(root) {
  for (const line of root.querySelectorAll(".command")) {
    const code = line.querySelector("code");
    line.dataset.docker ??= code.textContent;
    const text = engine() === "podman" ? forPodman(line.dataset.docker) : line.dataset.docker;
    if (code.textContent !== text) code.textContent = text;
  }
  for (const button of root.querySelectorAll(".copy, [data-pull], [data-post]")) button.hidden = false;
  for (const time of root.querySelectorAll("[data-since], [data-ago]")) age(time);
}

const engines = document.getElementById("engines");
if (engines) {
  engines.hidden = false;
  for (const input of engines.querySelectorAll("input")) {
    input.checked = input.value === engine();
    input.addEventListener("change", () => {
      localStorage.setItem("engine", input.value);
      dress(document);
    });
  }
}

async function copy(button) {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } catch {
    getSelection().selectAllChildren(code); // Ctrl-C does the rest
  }
}

// ---- Times

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

function age(time) {
  const now = Date.now() / 1000;
  let text;
  if (time.dataset.since) {
    const seconds = Math.max(0, Math.floor(now - Number(time.dataset.since)));
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    text = hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
  } else {
    const seconds = now - Date.parse(time.dateTime) / 1000;
    const unit = UNITS.find(([, length]) => seconds >= length);
    const count = unit && Math.floor(seconds / unit[1]);
    text = unit ? `${count} ${unit[0]}${count > 1 ? "s" : ""} ago` : "just now";
  }
  if (time.textContent !== text) time.textContent = text;
}

setInterval(() => {
  for (const time of document.querySelectorAll("[data-since], [data-ago]")) age(time);
}, 1000);

// ---- What is said to those who do not see

const told = document.getElementById("told");
const say = (text) => { told.textContent = text; };

// ---- Live parts

const light = document.getElementById("live");

function show(state) {
  light.hidden = false;
  light.dataset.state = state;
  light.textContent = { on: "live", off: "reconnecting", gone: "ended" }[state];
}

// A stream that is open while the page is seen: a browser opens six connections to
// a host and no more, and hidden pages must not keep them.
function listen(url, handlers, { isMain = false } = {}) {
  let source = null;
  let isOver = false;
  const close = () => { source?.close(); source = null; };
  const open = () => {
    if (source || isOver || document.hidden) return;
    source = new EventSource(url);
    if (isMain) {
      source.onopen = () => show("on");
      source.onerror = () => {
        if (isOver) return;
        show("off");
        // A browser gives up for good at an error status, as while we restart.
        if (source?.readyState === EventSource.CLOSED) { close(); setTimeout(open, 2000); }
      };
    }
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(event.data));
    }
    source.addEventListener("end", () => {
      isOver = true;
      close();
      if (isMain) show("gone");
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
  return close;
}

function update(root, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  dress(fresh); // before, so that nothing changes twice
  const before = root.firstElementChild.dataset;
  const [running, state] = [before.running, before.state];
  morph(root.firstElementChild, fresh);
  const after = root.firstElementChild.dataset;
  if (after.running !== running) say(after.running === "0" ? "No build runs" : `Builds that run: ${after.running}`);
  if (after.state !== state) say(`${after.name}: ${after.state}`);
}

const views = new Map();

function viewOf(section) {
  if (!views.has(section)) views.set(section, new LogView(section));
  return views.get(section);
}

for (const root of document.querySelectorAll("[data-stream]")) {
  const log = document.querySelector('main > [data-log=""]');
  const handlers = {
    now: (html) => update(root, html),
    build: (html) => update(root, html),
    log: (part) => log && viewOf(log).add(JSON.parse(part)),
  };
  listen(root.dataset.stream, handlers, { isMain: true });
}

// Logs that are there whole.
for (const section of document.querySelectorAll(".log:not([data-log])")) viewOf(section);

// Logs in cards are read while they are open.
const open = new Map();
document.addEventListener("toggle", ({ target }) => {
  const section = target.querySelector?.(":scope > [data-log]");
  if (!section) return;
  if (target.open && !open.has(section)) {
    const view = viewOf(section);
    open.set(section, listen(section.dataset.log, { log: (part) => view.add(JSON.parse(part)) }));
  }
}, true);

// ---- Buttons

// The header says that this is our own page: no other can send it to the daemon.
export async function press(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Nixeryd": "page" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) {
    const { errors } = await answer.json().catch(() => ({}));
    throw new Error(errors?.[0]?.message ?? `the daemon answers ${answer.status}`);
  }
  return answer;
}

function complain(button, error) {
  let note = button.nextElementSibling;
  if (!note?.classList.contains("bad")) {
    note = document.createElement("span");
    note.className = "bad";
    note.setAttribute("role", "alert");
    button.after(note);
  }
  note.textContent = error.message;
}

async function pull(button) {
  const answer = await press("/api/v1/pull", { names: [button.dataset.pull] });
  // The first line comes when the build has begun; the build outlives this page.
  const reader = answer.body.getReader();
  const { value } = await reader.read();
  const line = new TextDecoder().decode(value ?? new Uint8Array()).split("\n")[0];
  const event = JSON.parse(line || "{}");
  if (event.type === "error") throw new Error(event.message);
  reader.cancel();
  location.assign("/");
}

async function post(button) {
  const { post: path, body, ask } = button.dataset;
  if (ask && !confirm(ask)) return;
  await press(path, JSON.parse(body ?? "{}"));
  const { then } = button.dataset;
  if (then && location.pathname.startsWith(`${then}/`)) location.assign(then);
  else location.reload();
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("button");
  if (!button) return;
  if (button.classList.contains("copy")) await copy(button);
  const action = button.dataset.pull ? pull : button.dataset.post ? post : null;
  if (!action) return;
  button.disabled = true;
  try {
    await action(button);
  } catch (error) {
    complain(button, error);
  } finally {
    button.disabled = false;
  }
});

for (const input of document.querySelectorAll("[data-filter]")) {
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(input.dataset.filter)) {
      row.hidden = !row.querySelector(".name").textContent.toLowerCase().includes(wanted);
    }
  });
}

// A link to a layer opens it.
const unfold = () => {
  if (!location.hash.startsWith("#layer-")) return;
  const details = document.querySelector(`${location.hash} details`);
  if (details) details.open = true;
};
addEventListener("hashchange", unfold);
unfold();

for (const field of document.querySelectorAll("[data-submit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
for (const input of document.querySelectorAll("input[data-search]")) suggest(input);

dress(document);
