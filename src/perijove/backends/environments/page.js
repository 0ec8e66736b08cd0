/* Says in pages of JupyterLab (3 and later) and Notebook 7 what their session uses of what it may, what went wrong in it,
 * when it will be stopped, and why it is over; and opens in JupyterLab what the address names.
 *
 * A prebuilt extension as JupyterLab loads them: a container of webpack's module federation, written by hand. What it
 * shows is text; nothing that a server answers becomes HTML.
 */
(() => {
  "use strict";
  const EVERY = 10000; // milliseconds between two looks
  const NEARLY = 0.9; // of what it may use, from which on it stands out
  const SOON = 300; // seconds before its end in which a page says so
  const WHY = {
    idle: "nobody has used it for a while",
    old: "it reaches its greatest age",
    stopped: "whoever runs this service ends it",
  };
  const config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}");
  const address = new URL(`${config.baseUrl || "/"}perijove/session`, location.href);
  let shared = {};
  let looking = null;
  let over = false;
  let ends = null;
  let status = null; // where it stands what the session uses
  let read = 0; // when the operator's message was told that has been read
  let dismissed = 0; // until when what went wrong has been read: seconds by the session's clock

  function headers() {
    const xsrf = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie);
    return {
      Accept: "application/json",
      ...(config.token ? { Authorization: `token ${config.token}` } : {}),
      ...(xsrf ? { "X-XSRFToken": xsrf[1] } : {}),
    };
  }

  function ask(method) {
    return fetch(address, { method, headers: headers(), cache: "no-store", credentials: "same-origin" });
  }

  /* Whether the session is over, which is shown then. */
  function look() {
    looking ??= looked().finally(() => (looking = null));
    return looking;
  }

  async function looked() {
    if (over) return true;
    let answer;
    try {
      answer = await ask("GET");
    } catch {
      return false; // no network, or nobody at the other end: Jupyter says so
    }
    if (answer.status === 424) {
      const told = await answer.json().catch(() => ({}));
      over = true;
      clearInterval(ends);
      hide("ending");
      uses({});
      isOver(told);
    } else if (answer.ok) {
      const told = await answer.json();
      uses(told.shares || {});
      wentWrong(told.troubles || []);
      isTold(told);
      willEnd(told);
    }
    return over;
  }

  /* `0.3 of 2 GB`: bytes, or a plain number. */
  function share(name, [used, allowed]) {
    if (name === "processes") return `${used} of ${allowed}`;
    const [unit, scale] = allowed >= 2 ** 30 ? ["GB", 2 ** 30] : ["MB", 2 ** 20];
    const round = bytes => String(Number((bytes / scale).toFixed(scale > 2 ** 20 ? 1 : 0)));
    return `${round(used)} of ${round(allowed)} ${unit}`;
  }

  function uses(shares) {
    if (!status) return;
    const parts = [];
    for (const [name, words] of [["memory", "Memory"], ["disk", "Disk"], ["processes", "Processes"]]) {
      const [used, allowed] = shares[name] || [];
      if (!(allowed > 0)) continue;
      const part = document.createElement("span");
      const nearly = used >= NEARLY * allowed;
      if (name === "processes" && !nearly) continue; // few know what it counts
      part.textContent = `${words} ${share(name, shares[name])}`;
      Object.assign(part.style, { marginLeft: "0.9em" }, nearly ? { color: "#c62828", fontWeight: "bold" } : {});
      parts.push(part);
    }
    status.replaceChildren(...parts);
    status.title = ["memory", "disk", "processes"]
      .filter(name => shares[name])
      .map(name => `session.${name}: ${share(name, shares[name])}`)
      .join("\n");
  }

  function wentWrong(troubles) {
    const unread = troubles.filter(trouble => trouble.at > dismissed);
    if (!unread.length) {
      hide("trouble");
      return;
    }
    const { at, says } = unread[unread.length - 1];
    const text = show("trouble", "status");
    text.textContent = says;
    text.after(
      button("Dismiss", () => {
        dismissed = at;
        hide("trouble");
      }),
    );
  }

  /* What the operator tells everybody. */
  function isTold({ message, now }) {
    if (!message || !(message.until > now) || message.at <= read) {
      hide("message");
      return;
    }
    const words = `From the operator: ${message.says}`;
    if (document.querySelector("#perijove [data-kind=message] span")?.textContent === words) return; // said once aloud
    const text = show("message", "status");
    text.textContent = words;
    text.after(
      button("Dismiss", () => {
        read = message.at;
        hide("message");
      }),
    );
  }

  function willEnd(told) {
    clearInterval(ends);
    if (!told.reason || told.seconds > SOON) {
      hide("ending");
      return;
    }
    const at = Date.now() + told.seconds * 1000;
    const say = () => {
      const left = Math.max(0, Math.ceil((at - Date.now()) / 60000));
      const when = left > 1 ? `in ${left} minutes` : "within a minute";
      text.textContent = `This session will be stopped ${when}: ${WHY[told.reason] || told.reason}. Download what you want to keep.`;
    };
    const text = show("ending", "status");
    if (told.reason === "idle") text.after(button("Keep it running", goOn));
    say();
    ends = setInterval(say, 10000);
  }

  async function goOn() {
    const answer = await ask("POST").catch(() => null);
    if (answer?.ok) {
      clearInterval(ends);
      hide("ending");
    }
  }

  function isOver(told) {
    const why = told.session?.detail || "it does not run any more";
    const text = show("over", "alert");
    text.textContent = `This session is over: ${why}. What this page still shows is nowhere else: copy what you need.`;
    let last = text;
    const ways = [["Launch again", told.launch_again], ["Your files", told.kept], ["Log of the launch", told.log]];
    for (const [words, href] of ways) {
      if (!href) continue;
      const link = document.createElement("a");
      const there = new URL(href, location.href);
      if (!/^https?:$/.test(there.protocol)) continue;
      Object.assign(link, { href: there.href, target: "_blank", rel: "noopener noreferrer", textContent: words });
      Object.assign(link.style, { color: "inherit", marginLeft: "1em", whiteSpace: "nowrap" });
      last.after(link);
      last = link;
    }
  }

  /* The place for words of this kind, above everything else: its bar is made anew. */
  function show(kind, role) {
    hide(kind);
    let bars = document.getElementById("perijove");
    if (!bars) {
      bars = document.createElement("div");
      bars.id = "perijove";
      Object.assign(bars.style, { position: "fixed", left: "0", right: "0", bottom: "0", zIndex: "20000" });
      document.body.append(bars);
    }
    const bar = document.createElement("div");
    bar.dataset.kind = kind;
    bar.setAttribute("role", role);
    Object.assign(bar.style, {
      padding: "0.7em 1em", background: "#fff3cd", color: "#222", borderTop: "2px solid #b8860b",
      font: "14px/1.4 system-ui, sans-serif",
    });
    const text = document.createElement("span");
    bar.append(text);
    bars.append(bar);
    return text;
  }

  function hide(kind) {
    document.querySelector(`#perijove [data-kind=${kind}]`)?.remove();
  }

  function button(words, act) {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", textContent: words, onclick: act });
    Object.assign(made.style, { marginLeft: "1em", padding: "0.2em 0.8em", font: "inherit", cursor: "pointer" });
    return made;
  }

  /* JupyterLab itself does so only when it has saved its layout, which takes a second; it then finds it open. */
  async function openNamed(app) {
    const path = config.treePath;
    const asked = [...new URLSearchParams(location.search).keys()].filter(name => name !== "token");
    if (app.name !== "JupyterLab" || !path || asked.length) return;
    const found = await app.serviceManager.contents.get(path, { content: false }).catch(() => null);
    if (!found || found.type === "directory") return; // JupyterLab says what there is to say
    await app.restored;
    await app.commands.execute("docmanager:open", { path });
  }

  /* A module that the page has loaded. */
  async function loaded(name) {
    const versions = Object.values(shared[name] || {});
    return versions.length ? (await versions[0].get())() : null;
  }

  /* At the end of the menu bar. */
  async function standing(app) {
    const { Widget } = (await loaded("@lumino/widgets")) || {};
    if (!Widget) return;
    const widget = new Widget();
    widget.id = "perijove-status";
    status = widget.node;
    Object.assign(status.style, {
      font: "12px system-ui, sans-serif", whiteSpace: "nowrap", alignSelf: "center", marginLeft: "auto", paddingRight: "1em",
    });
    const area = app.name === "JupyterLab" ? "top" : "menu"; // Lab's menus leave no room in their own
    app.shell.add(widget, area, { rank: 10020 });
  }

  async function plugins() {
    const found = [
      {
        id: "perijove:page",
        autoStart: true,
        activate: app => {
          app.serviceManager.connectionFailure.connect(() => void look());
          setInterval(() => void look(), EVERY);
          void standing(app).finally(look);
          void openNamed(app);
        },
      },
    ];
    const { IConnectionLost, ConnectionLost } = (await loaded("@jupyterlab/application")) || {};
    if (IConnectionLost && ConnectionLost) {
      found.push({
        id: "perijove:connection-lost",
        autoStart: true,
        provides: IConnectionLost,
        activate: () => async (...given) => {
          if (!(await look())) await ConnectionLost(...given);
        },
      });
    }
    return { __esModule: true, default: found };
  }

  (window._JUPYTERLAB ??= {}).perijove = {
    init: async scope => void (shared = scope),
    get: async () => {
      const module = await plugins();
      return () => module;
    },
  };
})();
