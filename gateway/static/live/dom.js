// Elements from text. Nothing here takes markup: what events hold is hostile, and text stays text.

/**
 * Makes an element. `attributes`: name -> value; false and null leave one out, true sets it empty, `on...` listens.
 * `children`: nodes or values shown as text; null is left out.
 */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined).map(asNode));
  return node;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

export function byId(id) {
  return document.getElementById(id);
}

/** Shows a text, and touches the page only where it changed (a status line would be read out again). */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function clock(time) {
  const date = time instanceof Date ? time : new Date(time);
  return Number.isNaN(date.getTime()) ? "unknown" : date.toLocaleTimeString("en-GB");
}

export function whole(number) {
  return Number(number).toLocaleString("en-GB");
}

/** "1 event", "2 events". */
export function count(number, one, many) {
  return `${whole(number)} ${number === 1 ? one : many}`;
}

/** A code as words: "suppress_processing" -> "suppress processing". */
export function words(code) {
  return String(code).replaceAll("_", " ").toLowerCase();
}
