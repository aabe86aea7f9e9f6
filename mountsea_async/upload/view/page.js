"use strict";
(() => {
  const ENDS = new Set(["succeeded", "failed", "timed_out", "unknown", "undetermined", "not_submitted"]);
  const BAD = new Set(["failed", "timed_out", "unknown", "undetermined"]);
  const OVER = new Set(["finished", "refused"]);
  const STATES = {
    queued: "Waiting for its turn", running: "Running", waiting: "Can't go on for now; it is tried again",
    stopping: "Stopping: nothing more is submitted", finished: "Finished", refused: "Refused: the service would not begin it",
  };
  const SVG = "http://www.w3.org/2000/svg";
  const SPEAK_EVERY = 8000, FIRST_WAIT = 500, LONGEST_WAIT = 10000;
  const $ = (id) => document.getElementById(id);
  const show = (element, visible) => { if (element) element.hidden = !visible; };

  // ------------------------------------------------------------------------------------------------- the filter
  let chosen = "all";
  const choose = (state) => {
    chosen = state;
    for (const button of document.querySelectorAll("[data-filter]"))
      button.setAttribute("aria-pressed", String(button.dataset.filter === state));
    const list = document.querySelector(".list");
    if (list) list.dataset.show = state;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-filter]");
    if (button) choose(button.dataset.filter);
  });

  const report = $("report");
  if (!report || report.dataset.stream === undefined) return;

  // -------------------------------------------------------------------------------------------------- the items
  // What the page shows is kept here by item; an event says what an item has become, so telling it twice does no harm.
  const labels = {};
  for (const button of document.querySelectorAll("[data-filter]"))
    labels[button.dataset.filter] = button.childNodes[button.childNodes.length - 2].textContent.trim();
  const body = document.querySelector(".list tbody");
  const timeline = $("timeline");
  const rows = [...body.rows];
  const bars = [];
  if (timeline) for (const bar of timeline.querySelectorAll("rect")) bars[Number(bar.dataset.index)] = bar;
  const states = rows.map((row) => row.dataset.state);
  const starts = bars.map((bar) => (Number(bar.getAttribute("width")) > 0 ? Number(bar.getAttribute("x")) : null));
  const counts = {};
  for (const state of states) counts[state] = (counts[state] || 0) + 1;
  let begin = timeline && timeline.dataset.begin ? Number(timeline.dataset.begin) : null;
  let span = timeline ? timeline.viewBox.baseVal.width : 1;
  let skew = null; // this machine's clock against the events', by the freshest event
  const dirty = new Map();
  let drawing = false, touched = true, paused = 0;

  const addRow = (index) => {
    while (rows.length <= index) {
      const row = body.insertRow();
      for (const name of ["number", "audio", "is", "what"]) row.insertCell().className = name;
      row.cells[0].textContent = rows.length;
      row.cells[2].append(document.createElement("span"), document.createElement("span"));
      rows.push(row);
      states.push("new");
      counts.new = (counts.new || 0) + 1;
      if (timeline) {
        const bar = document.createElementNS(SVG, "rect");
        bar.setAttribute("y", bars.length + 0.05);
        bar.setAttribute("height", "0.9");
        bar.setAttribute("width", "0");
        timeline.append(bar);
        bars.push(bar);
        starts.push(null);
      }
    }
  };

  const changed = (event) => {
    addRow(event.index);
    counts[states[event.index]] -= 1;
    counts[event.state] = (counts[event.state] || 0) + 1;
    states[event.index] = event.state;
    if (event.trigger === "accept") {
      if (begin === null) begin = event.at;
      starts[event.index] = event.at - begin;
    }
    dirty.set(event.index, event);
    draw();
  };

  const link = (event) => {
    const code = document.createElement("code");
    code.textContent = event.clip_id;
    let address = null;
    try { address = new URL(event.clip_url); } catch { /* it has none */ }
    if (!address || !["https:", "http:"].includes(address.protocol)) return code;
    const anchor = document.createElement("a");
    anchor.href = address.href;
    anchor.target = "_blank";
    anchor.rel = "noopener noreferrer";
    anchor.append(code);
    return anchor;
  };

  const paintRow = (index, event) => {
    const row = rows[index], [mark, label] = row.cells[2].children;
    row.dataset.state = event.state;
    mark.className = `mark ${event.state}`;
    label.textContent = labels[event.state] || event.state;
    const what = event.clip_id ? [link(event)] : [event.error || (event.reason || "").replaceAll("_", " ")];
    row.cells[3].replaceChildren(...what);
    const bar = bars[index];
    if (!bar) return;
    bar.setAttribute("class", event.state);
    if (BAD.has(event.state)) { // on top, and tall enough to be seen
      const high = Math.max(0.9, rows.length / 130);
      bar.setAttribute("height", high.toFixed(2));
      bar.setAttribute("y", (index + 0.5 - high / 2).toFixed(2));
      timeline.append(bar);
    }
    if (starts[index] === null) return;
    bar.setAttribute("x", starts[index].toFixed(3));
    if (ENDS.has(event.state)) {
      const width = Math.max(event.at - begin - starts[index], span / 400);
      bar.setAttribute("width", width.toFixed(3));
    }
  };

  const now = () => Date.now() / 1000 - (skew || 0);

  const clock = (seconds) => {
    const whole = Math.round(seconds), minutes = Math.floor(whole / 60), two = (n) => String(n).padStart(2, "0");
    if (span < 20) return `${seconds.toFixed(1)} s`;
    return minutes < 60 ? `${minutes}:${two(whole % 60)}`
      : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
  };

  const paint = () => {
    drawing = false;
    for (const [index, event] of dirty) paintRow(index, event);
    dirty.clear();
    touched = true;
    const total = rows.length;
    let ended = 0;
    for (const state of ENDS) ended += counts[state] || 0;
    $("percent").textContent = `${total ? Math.round((100 * ended) / total) : 0} %`;
    $("ended").textContent = `${ended.toLocaleString("en")} of ${total.toLocaleString("en")} ended`;
    $("progress").max = Math.max(1, total);
    $("progress").value = ended;
    for (const button of document.querySelectorAll("[data-filter]")) {
      const state = button.dataset.filter;
      const count = state === "all" ? total : counts[state] || 0;
      button.querySelector("b").textContent = count.toLocaleString("en");
      if (state !== "all" && state !== chosen) button.hidden = count === 0;
    }
    grow();
  };

  const draw = () => {
    if (drawing) return;
    drawing = true;
    // A page that isn't seen isn't painted; what is to be drawn is one event an item at most.
    if (document.visibilityState === "visible") requestAnimationFrame(paint);
    else setTimeout(paint, 250);
  };

  const grow = () => {
    if (!timeline || begin === null) return;
    const pending = (counts.submitted || 0) > 0;
    if (pending) span = Math.max(span, now() - begin);
    for (const [index, state] of states.entries()) {
      if (starts[index] === null) continue;
      const bar = bars[index];
      if (state === "submitted") bar.setAttribute("width", Math.max(span - starts[index], span / 400).toFixed(3));
      else span = Math.max(span, Number(bar.getAttribute("x")) + Number(bar.getAttribute("width")));
    }
    timeline.setAttribute("viewBox", `0 0 ${span.toFixed(3)} ${Math.max(1, rows.length)}`);
    [...$("axis").children].forEach((tick, part) => { tick.textContent = clock((span * part) / 4); });
  };

  // ----------------------------------------------------------------------------------------- what the page says
  const speak = () => {
    if (!touched) return;
    touched = false;
    const failed = (counts.failed || 0) + (counts.timed_out || 0);
    $("spoken").textContent = `${$("ended").textContent}${failed ? `, ${failed} failed` : ""}`;
  };
  const notice = (text) => {
    const place = $("notice");
    if (!place) return;
    place.textContent = text;
    show(place, text !== "");
  };
  const tell = (batch) => {
    const place = $("state");
    place.dataset.state = batch.state;
    place.textContent = (STATES[batch.state] || batch.state) + (batch.error ? `: ${batch.error}` : "");
    if (batch.session_id) named(batch.session_id);
  };
  const named = (id) => {
    const code = document.createElement("code");
    code.textContent = id;
    $("session").replaceChildren("Session ", code);
  };

  // ----------------------------------------------------------------------------------------------- the stream
  const address = (where) => {
    const found = new URL(where, location.href);
    found.username = found.password = ""; // what a browser was given for the page it sends by itself
    return found.href;
  };
  let last = report.dataset.after === "-1" ? null : report.dataset.after;
  let token = null, over = false;
  const headers = (more) => (token === null ? more : { ...more, Authorization: `Bearer ${token}` });

  const heard = (kind, id, data) => {
    if (id !== null) last = id;
    const event = JSON.parse(data);
    if (typeof event.at === "number") {
      const late = Date.now() / 1000 - event.at;
      skew = skew === null ? late : Math.min(skew, late);
    }
    if (kind === "batch") {
      tell(event);
      if (OVER.has(event.state)) over = true;
    } else if (kind === "item_changed") {
      changed(event);
    } else if (kind === "session_opened") {
      named(event.session_id);
    } else if (kind === "paused") {
      notice(`The service asks for patience: ${Math.ceil(event.seconds)} s`);
      clearTimeout(paused);
      paused = setTimeout(() => notice(""), event.seconds * 1000);
    } else if (kind === "submits_stopped") {
      notice(`Nothing more is submitted: ${(event.reason || "").replaceAll("_", " ")}`);
    } else if (kind === "error") {
      notice(event.detail);
    } else if (kind === "journal_failed") {
      notice("The journal can't be written; nothing more is submitted");
    }
  };

  const read = async (stream) => {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", kind = "message", id = null, data = [];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const lines = rest.split(/\r\n|\n|\r(?!$)/); // a \r at the end may be half of \r\n
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) heard(kind, id, data.join("\n"));
          kind = "message"; id = null; data = [];
          continue;
        }
        const colon = line.indexOf(":");
        if (colon === 0) continue;
        const name = colon < 0 ? line : line.slice(0, colon);
        const said = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "data") data.push(said);
        else if (name === "event") kind = said;
        else if (name === "id") id = said;
      }
    }
  };

  const identified = () => new Promise((resolve) => {
    const form = $("token");
    show(form, true);
    $("token-text").focus();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = $("token-text").value;
      $("token-text").value = "";
      show(form, false);
      resolve();
    }, { once: true });
  });

  const connect = async () => {
    const asked = headers({ Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": last }) });
    const answer = await fetch(address(report.dataset.stream), {
      headers: asked, credentials: "same-origin", cache: "no-store",
    });
    if (answer.status === 204) {
      over = true;
    } else if (answer.status === 401 || answer.status === 403) {
      await identified();
    } else if (answer.status === 404 || answer.status === 410) {
      notice("This batch is no longer there.");
      return false;
    } else if (!answer.ok) {
      throw new Error(`HTTP ${answer.status}`);
    } else {
      notice("");
      document.documentElement.dataset.connected = "yes";
      await read(answer.body);
    }
    return true;
  };

  const follow = async () => {
    for (let wait = FIRST_WAIT; !over;) {
      const before = last;
      try {
        if (!(await connect())) return;
      } catch { /* tried again below */ }
      delete document.documentElement.dataset.connected;
      if (over) break;
      if (last !== before) wait = FIRST_WAIT;
      notice("The connection is lost; reconnecting…");
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
    await finish();
  };

  const finish = async () => {
    for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      try {
        const answer = await fetch(address(location.href), { headers: headers({}), credentials: "same-origin", cache: "no-store" });
        if (answer.ok) {
          const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("report");
          if (found) return settle(found);
        }
        if (answer.status === 404 || answer.status === 410) return undefined;
      } catch { /* tried again */ }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  };

  const settle = (found) => {
    clearInterval(growing);
    clearInterval(speaking);
    const focused = document.activeElement && document.activeElement.dataset.filter;
    // Children only: the regions that screen readers listen to stay the same elements.
    const spoken = $("spoken");
    report.replaceChildren(...document.adoptNode(found).childNodes);
    $("spoken").replaceWith(spoken);
    choose(chosen);
    if (focused) document.querySelector(`[data-filter="${focused}"]`).focus();
    spoken.textContent = `${$("state").textContent}. ${$("ended").textContent}`;
    document.documentElement.dataset.over = "yes";
  };

  const growing = setInterval(grow, 1000);
  const speaking = setInterval(speak, SPEAK_EVERY);
  follow();
})();
