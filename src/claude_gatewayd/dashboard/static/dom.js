// The only place that makes elements. What comes from outside becomes text nodes and never markup.

export const $ = (id) => document.getElementById(id);

// What would hide, reverse or rearrange its surroundings is shown as what it is; and nothing is endless.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const LONGEST = 600;
export function plain(value) {
  const whole = String(value ?? "");
  const cut = whole.length > LONGEST ? `${whole.slice(0, LONGEST)}…` : whole;
  return cut.replace(CONTROLS, "\ufffd");
}

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.map((child) => (child instanceof Node ? child : plain(child))));
  return node;
}

// Touch the document only where something has changed: it costs nothing, and a screen reader is not woken.
export function text(node, value) {
  const shown = plain(value);
  if (node.textContent !== shown) node.textContent = shown;
}

export function mark(node, name, value) {
  const shown = plain(value);
  if (node.getAttribute(name) !== shown) node.setAttribute(name, shown);
}

export function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

// Let the children of *parent* be those of *items*, reusing them, so that focus and selection stay where they are.
export function each(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, at) => update(parent.children[at] ?? parent.appendChild(make()), item, at));
}

// A table's head and rows. A column is {name, isNumber, isHead}; a cell is text, or a node that is only made for it.
export function table(node, columns, rows) {
  const [head, body] = [node.tHead, node.tBodies[0]];
  if (!head.rows.length) head.append(el("tr"));
  each(head.rows[0], columns, () => el("th", { scope: "col" }), (cell, column) => {
    mark(cell, "class", column.isNumber ? "number" : "");
    text(cell, column.name);
  });
  each(body, rows, () => el("tr"), (row, cells) => {
    if (row.children.length !== cells.length) {
      row.replaceChildren(...cells.map((_, at) => (at ? el("td") : el("th", { scope: "row" }))));
    }
    cells.forEach((cell, at) => {
      mark(row.children[at], "class", columns[at].isNumber ? "number" : "");
      if (cell instanceof Node) row.children[at].replaceChildren(cell);
      else text(row.children[at], cell);
    });
  });
}

// A command to paste, beside a button that copies it.
export function command(host, line) {
  if (host.dataset.line === line) return;
  host.dataset.line = line;
  show(host, Boolean(line));
  if (!line) return host.replaceChildren();
  const button = el("button", { type: "button", class: "copy", "aria-label": plain(`Copy the command ${line}`) }, "Copy");
  host.replaceChildren(el("code", {}, line), button);
}

export function announce(words) {
  $("announce").textContent = "";
  requestAnimationFrame(() => text($("announce"), words));
}

// One listener for all copy buttons, also those that come later.
export function copyOnClick() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".copy");
    if (!button) return;
    const code = button.previousElementSibling;
    const isCopied = await copy(code);
    announce(isCopied ? `Copied: ${code.textContent}` : "The browser does not let this page copy. The command is selected.");
    button.textContent = isCopied ? "Copied" : "Selected";
    clearTimeout(button.timer);
    button.timer = setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch { // a page that is not from this machine has no clipboard
    getSelection().selectAllChildren(code);
    return false;
  }
}
