// The few lines that make and change elements.

/** An element: `el("a", { href: "/", class: "link" }, "text", child)`; `on…` properties are listeners. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Sets a text if it differs: so that selections, and readers of live regions, are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes `parent`'s children those of `items`, keeping each item's element over calls, and with it focus and state.
 * @param {Map<string, {element: Element, update(item: object): void}>} views by key; changed to what is there now.
 */
export function reconcile(parent, views, items, key, make) {
  const wanted = new Set(items.map(key));
  for (const [name, view] of views) {
    if (wanted.has(name)) continue;
    view.element.remove();
    view.close?.();
    views.delete(name);
  }
  items.forEach((item, index) => {
    const name = key(item);
    if (!views.has(name)) views.set(name, make(item));
    const view = views.get(name);
    if (parent.children[index] !== view.element) parent.insertBefore(view.element, parent.children[index] ?? null);
    view.update(item);
  });
}

/** Asks before what cannot be undone. */
export function confirmed(question, action) {
  const yes = el("button", { value: "yes", class: "danger" }, action);
  const dialog = el("dialog", { "aria-labelledby": "question" },
    el("form", { method: "dialog" }, el("p", { id: "question" }, question), el("div", { class: "row" },
      el("button", { value: "no", autofocus: true }, "Cancel"), yes)));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/** A text with a button that copies it. */
export function copyable(text, label) {
  const code = el("code", { tabindex: 0, class: "copy-text" }, text);
  const button = el("button", {
    type: "button", class: "copy", "aria-label": `Copy ${label}`,
    onclick: async () => {
      const isDone = await copy(code.textContent);
      button.textContent = isDone ? "Copied" : "Press Ctrl+C";
      if (!isDone) getSelection().selectAllChildren(code);
      setTimeout(() => (button.textContent = "Copy"), 1500);
    },
  }, "Copy");
  const element = el("div", { class: "copyable" }, code, button);
  return { element, set: (value) => setText(code, value) };
}

/** The clipboard's interface is there on HTTPS and localhost only; elsewhere the old command still works. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = el("textarea", { class: "hidden" });
    field.value = text;
    document.body.append(field);
    field.select();
    const isDone = document.execCommand("copy");
    field.remove();
    return isDone;
  }
}
