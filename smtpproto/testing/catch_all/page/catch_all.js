// The page of a catch-all server. All text of messages is set as text, never as HTML: the only HTML
// of a message is in a frame that has an origin of its own and can run no scripts.
"use strict";

const $ = (id) => document.getElementById(id);
const SHOWN = 262144; // characters of text and source in the page; all of it can be downloaded

let list = []; // what the list shows, the newest first
let limit = 100;
let open = null; // the message that is open
let view = "html";
let remote = false; // whether its frame may load remote content
let lastNewest = null;

// -- small things ---------------------------------------------------------------------------

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  if (text !== "") made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

async function ask(path, method = "GET", body = undefined) {
  const response = await fetch(path, { method, body: body && JSON.stringify(body) });
  const values = await response.json();
  if (!response.ok) throw new Error(values.error);
  return values;
}

function size(octets) {
  if (octets < 1000) return `${octets} B`;
  const [number, unit] = octets < 1e6 ? [octets / 1e3, "kB"] : [octets / 1e6, "MB"];
  return `${number < 10 ? number.toFixed(1) : Math.round(number)} ${unit}`;
}

function time(text) {
  const date = new Date(text);
  const today = new Date().toDateString() === date.toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}

const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

// -- the list ---------------------------------------------------------------------------------

async function refresh() {
  const query = $("query").value.trim();
  let values;
  try {
    values = await ask(`/api/messages?limit=${limit}&query=${encodeURIComponent(query)}`);
  } catch (error) {
    $("counts").textContent = "The server does not answer";
    return;
  }
  list = values.list;
  const focused = document.activeElement?.dataset?.id;
  $("list").replaceChildren(...list.map(listItem));
  if (focused) $("list").querySelector(`[data-id="${focused}"]`)?.focus();
  $("more").hidden = values.found <= list.length;
  $("empty").hidden = list.length > 0;
  $("empty-title").textContent = query ? "Nothing found" : "No mail yet";
  $("empty-advice").textContent = query ? "" : `Send some to ${values.listening}.`;
  const unread = values.unread ? `, ${values.unread} unread` : "";
  $("counts").textContent = query ? `${values.found} of ${count(values.messages, "message")}`
    : `${count(values.messages, "message")}${unread}`;
  document.title = `${values.unread ? `(${values.unread}) ` : ""}Mail - smtpproto`;
  $("delete-all").textContent = query ? "Delete found" : "Delete all";
  $("delete-all").disabled = $("read-all").disabled = list.length === 0;
  if (open && !list.some((it) => it.id === open.id) && !query) closeMessage();
}

function listItem(message) {
  const button = element("button", "", { "data-id": message.id, type: "button" });
  if (!message.read) {
    button.classList.add("unread");
    button.append(element("span", "Unread. ", { class: "hidden" }));
  }
  if (open?.id === message.id) button.setAttribute("aria-current", "true");
  const attached = message.attachments.length;
  const parts = [
    ["from", message.from || "<>"], ["time", time(message.time)],
    ["subject", message.subject || "(no subject)"],
    ["size", `${attached ? `${count(attached, "file")}, ` : ""}${size(message.size)}`],
    ["to", `to ${message.to}`], ["preview", message.preview || " "],
  ];
  for (const [name, text] of parts) button.append(element("span", text, { class: name, dir: "auto" }));
  button.querySelector(".time").title = message.time;
  button.addEventListener("click", () => show(message.id));
  const item = element("li");
  item.append(button);
  return item;
}

function move(step) {
  const buttons = [...$("list").querySelectorAll("button")];
  const at = buttons.findIndex((it) => it === document.activeElement);
  const chosen = at >= 0 ? at : buttons.findIndex((it) => it.hasAttribute("aria-current"));
  const next = buttons[Math.max(0, Math.min(buttons.length - 1, chosen + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

// -- one message --------------------------------------------------------------------------------

async function show(id) {
  try {
    open = await ask(`/api/messages/${id}`);
  } catch (error) {
    return refresh();
  }
  remote = false;
  document.body.classList.add("reading");
  $("nothing").hidden = true;
  $("message").hidden = false;
  $("subject").textContent = open.subject || "(no subject)";
  $("download").href = `/api/messages/${id}/source`;
  $("summary").replaceChildren(...summary());
  showFindings();
  const attached = open.attachments.length;
  $("tab-attachments").textContent = attached ? `Attachments (${attached})` : "Attachments";
  $("tab-attachments").disabled = !attached;
  $("tab-html").disabled = !open.html;
  $("tab-text").disabled = !open.text;
  const wanted = $(`tab-${view}`).disabled ? (open.html ? "html" : "text") : view;
  showView($(`tab-${wanted}`).disabled ? "source" : wanted);
  $("subject").focus();
  await setRead(true);
}

function summary() {
  const field = (name) => open.fields.find((it) => it[0].toLowerCase() === name)?.[1] ?? "";
  const { envelope, session } = open;
  const secure = session.tls ? `TLS (${session.tls})` : "no TLS";
  const login = session.user ? `logged in as ${session.user}` : "no login";
  const rows = [
    ["From", field("from")], ["To", field("to")], ["Cc", field("cc")],
    ["Reply-To", field("reply-to")], ["Date", field("date")],
    ["Envelope", `${envelope.from || "<>"} → ${envelope.to.join(", ")}`],
    ["Parameters", envelope.parameters],
    ["Received", `${time(open.time)}, ${size(open.size)}, ${session.protocol}, ${secure}, ${login}`],
  ];
  return rows.filter((it) => it[1]).flatMap(([name, text]) =>
    [element("dt", name), element("dd", text, { dir: "auto" })]);
}

function showFindings() {
  const items = element("ul");
  items.append(...open.findings.map((it) => element("li", it)));
  $("findings").hidden = open.findings.length === 0;
  $("findings").replaceChildren(element("strong", "Receivers may dislike"), items);
}

async function setRead(read) {
  if (!open) return;
  await ask(`/api/messages/${open.id}/read`, "POST", { read }).catch(() => {});
  if (!read) closeMessage();
  await refresh();
}

function closeMessage() {
  const button = open && $("list").querySelector(`[data-id="${open.id}"]`);
  open = null;
  document.body.classList.remove("reading");
  $("message").hidden = true;
  $("nothing").hidden = false;
  $("panel").replaceChildren();
  button?.removeAttribute("aria-current");
  (button ?? $("list")).focus();
}

async function deleteOpen() {
  const at = list.findIndex((it) => it.id === open.id);
  const next = list[at + 1] ?? list[at - 1];
  await ask(`/api/messages/${open.id}`, "DELETE").catch(() => {});
  const wide = getComputedStyle($("back")).display === "none";
  if (next && wide) await show(next.id);
  else closeMessage();
  await refresh();
}

// -- views of a message ---------------------------------------------------------------------------

const TABS = ["html", "text", "source", "fields", "attachments", "session"];

function showView(name) {
  view = name;
  for (const it of TABS) {
    $(`tab-${it}`).setAttribute("aria-selected", String(it === name));
    $(`tab-${it}`).tabIndex = it === name ? 0 : -1;
  }
  $("panel").setAttribute("aria-labelledby", `tab-${name}`);
  $("panel").replaceChildren();
  VIEWS[name](open);
}

const VIEWS = {
  html(message) {
    const frame = element("iframe", "", {
      title: "HTML of the message", referrerpolicy: "no-referrer",
      sandbox: "allow-popups allow-popups-to-escape-sandbox",
      src: `/api/messages/${message.id}/html${remote ? "?remote=1" : ""}`,
    });
    const shown = [frame];
    if (message.remote && !remote) shown.unshift(remoteNote());
    $("panel").replaceChildren(...shown);
  },
  text(message) {
    showText(message.text, message.text.length > SHOWN, "plain");
  },
  async source(message) {
    const response = await fetch(`/api/messages/${message.id}/source?octets=${SHOWN}`);
    const text = await response.text();
    if (open === message && view === "source") showText(text, message.size > SHOWN);
  },
  fields(message) {
    const table = element("table");
    for (const [name, text] of message.fields) {
      const row = element("tr");
      row.append(element("th", name, { scope: "row" }), element("td", text, { dir: "auto" }));
      table.append(row);
    }
    $("panel").replaceChildren(table);
  },
  attachments(message) {
    const items = element("ul", "", { class: "attachments" });
    items.append(...message.attachments.map((it, number) => attachmentItem(message, it, number)));
    $("panel").replaceChildren(items);
  },
  async session(message) {
    const response = await fetch(`/api/messages/${message.id}/transcript`);
    const text = await response.text();
    const { peer, hello } = message.session;
    const note = element("p", `A connection from ${peer}, which calls itself ${hello}. Secrets are masked.`,
      { class: "soft" });
    if (open === message && view === "session") {
      showText(text, text.length > SHOWN);
      $("panel").prepend(note);
    }
  },
};

function showText(text, isCut, kind = "") {
  const pre = element("pre", text.slice(0, SHOWN), { dir: "auto", class: kind });
  $("panel").replaceChildren(pre);
  if (isCut) $("panel").prepend(element("p", "This is the beginning; Download has all of it.", { class: "soft" }));
}

function remoteNote() {
  const note = element("div", "", { class: "note" });
  const button = element("button", "Load remote content", { type: "button", id: "remote" });
  button.addEventListener("click", () => {
    remote = true;
    showView("html");
  });
  note.append(element("span", "Pictures and styles from elsewhere are not loaded."), button);
  return note;
}

function attachmentItem(message, attachment, number) {
  const item = element("li");
  const link = element("a", "Download", {
    class: "button", download: "", href: `/api/messages/${message.id}/attachments/${number}`,
    "aria-label": `Download ${attachment.name || attachment.type}`,
  });
  const kind = `${attachment.type}, ${size(attachment.size)}`;
  const inline = attachment.content_id ? `(in the HTML: ${attachment.content_id})` : "(no name)";
  item.append(element("span", attachment.name || inline, { class: "name", dir: "auto" }),
    element("span", kind, { class: "soft" }), link);
  return item;
}

// -- failures ---------------------------------------------------------------------------------

const FAILURES = {
  "refuse-rcpt": { kind: "refuse", at: "RCPT", reply: "550 5.1.1 No such user" },
  greylist: { kind: "greylist", reply: "451 4.7.1 Greylisted, try again later" },
  "refuse-data": { kind: "refuse", at: "DATA", reply: "451 4.3.0 Try again later" },
  "refuse-end": { kind: "refuse", at: ".", reply: "554 5.6.0 Refused" },
  drop: { kind: "drop" },
  delay: { kind: "delay" },
};

function showFailureFields() {
  const kind = $("failure-kind").value;
  for (const label of $("failure").querySelectorAll("[data-for]")) {
    label.hidden = !label.dataset.for.split(" ").includes(kind);
  }
  $("failure-reply").value = FAILURES[kind].reply ?? "";
}

function failureValues() {
  const values = { ...FAILURES[$("failure-kind").value] };
  const taken = (id) => !$(id).parentElement.hidden && $(id).value !== "";
  if (taken("failure-to")) values.to = $("failure-to").value;
  if (taken("failure-at")) values.at = $("failure-at").value;
  if (taken("failure-reply")) values.reply = $("failure-reply").value;
  if (taken("failure-seconds")) values.seconds = Number($("failure-seconds").value);
  if (taken("failure-times")) values.times = Number($("failure-times").value);
  return values;
}

async function addFailure(event) {
  event.preventDefault();
  try {
    await ask("/api/failures", "POST", failureValues());
    $("failure-error").textContent = "";
  } catch (error) {
    $("failure-error").textContent = error.message;
  }
  await refreshFailures();
}

async function refreshFailures() {
  const found = await ask("/api/failures").catch(() => ({ list: [] }));
  $("failure-list").replaceChildren(...found.list.map(failureItem));
  if (!found.list.length) $("failure-list").append(element("li", "Nothing: the server takes all mail.", { class: "soft" }));
  const active = found.list.filter((it) => !it.over);
  $("banner").hidden = active.length === 0;
  $("banner").textContent = `${active.length === 1 ? "1 failure is" : `${active.length} failures are`}`
    + ` switched on: ${active.map((it) => it.description).join("; ")}`;
}

function failureItem(failure) {
  const item = element("li");
  const soFar = failure.happened ? `happened ${count(failure.happened, "time")}` : "not yet happened";
  const happened = failure.over ? "over" : soFar;
  const text = element("span", `${failure.description} – ${happened}`, { class: failure.over ? "over" : "", dir: "auto" });
  const button = element("button", "Remove", { type: "button", "aria-label": `Remove: ${failure.description}` });
  button.addEventListener("click", async () => {
    await ask(`/api/failures/${failure.id}`, "DELETE").catch(() => {});
    await refreshFailures();
  });
  item.append(text, button);
  return item;
}

// -- what happens -------------------------------------------------------------------------------

let due = null; // a refresh that is planned: many messages a second need only a few

function refreshSoon() {
  due ??= setTimeout(async () => {
    due = null;
    await Promise.all([refresh(), refreshFailures()]);
  }, lastNewest === null ? 0 : 200);
}

function onKey(event) {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && event.target === $("query")) $("query").blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("failures").open) return;
  const actions = {
    j: () => move(1), k: () => move(-1), "/": () => $("query").focus(),
    Escape: () => open && closeMessage(), Delete: () => open && deleteOpen(),
  };
  if (actions[event.key]) {
    event.preventDefault();
    actions[event.key]();
  }
}

function onTabKey(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const usable = TABS.filter((it) => !$(`tab-${it}`).disabled);
  const next = usable[(usable.indexOf(view) + step + usable.length) % usable.length];
  showView(next);
  $(`tab-${next}`).focus();
}

function start() {
  for (const it of TABS) $(`tab-${it}`).addEventListener("click", () => showView(it));
  $("tabs").addEventListener("keydown", onTabKey);
  $("query").addEventListener("input", () => { limit = 100; refreshSoon(); });
  $("more").addEventListener("click", () => { limit = Math.min(limit + 100, 1000); refresh(); });
  $("back").addEventListener("click", closeMessage);
  $("unread").addEventListener("click", () => setRead(false));
  $("delete").addEventListener("click", deleteOpen);
  $("read-all").addEventListener("click", () => ask("/api/messages/read", "POST", { read: true }));
  $("delete-all").addEventListener("click", () => {
    const query = $("query").value.trim();
    const what = query ? "the messages that the search finds" : "all messages";
    if (confirm(`Delete ${what}?`)) ask(`/api/messages?query=${encodeURIComponent(query)}`, "DELETE");
  });
  $("show-failures").addEventListener("click", () => { refreshFailures(); $("failures").showModal(); });
  $("close-failures").addEventListener("click", () => $("failures").close());
  $("failure-kind").addEventListener("change", showFailureFields);
  $("failure").addEventListener("submit", addFailure);
  document.addEventListener("keydown", onKey);
  showFailureFields();
  setInterval(() => $("failures").open && refreshFailures(), 2000);
  const events = new EventSource("/api/events");
  events.addEventListener("message", (event) => {
    refreshSoon();
    lastNewest = JSON.parse(event.data).newest;
  });
  events.addEventListener("error", () => { $("counts").textContent = "The server does not answer"; });
}

start();
