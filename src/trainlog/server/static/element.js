// Helpers for elements of the page.

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {string} className
 * @param {Partial<HTMLElementTagNameMap[K]>} properties
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, className = "", properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (className) made.className = className;
  if (children.length) made.append(...children);
  return made;
}

/**
 * A button with an action; *name* is its accessible name, needed if the text does not describe it.
 * @param {string} text @param {() => unknown} act @param {string} className @param {string} name @param {string} title
 */
export function button(text, act, className = "", name = "", title = "") {
  const made = element("button", className, { type: "button", textContent: text });
  if (title) made.title = title;
  if (name) made.ariaLabel = name;
  made.addEventListener("click", act);
  return made;
}

/** Fill a select with options by value; an unknown value, which an address can have, is added.
 * @param {HTMLSelectElement} select @param {Record<string, string>} known @param {string} value */
export function choices(select, known, value) {
  const options = Object.entries(Object.hasOwn(known, value) ? known : { ...known, [value]: value });
  const signature = JSON.stringify(options);
  if (select.dataset.known !== signature) {
    select.dataset.known = signature;
    select.replaceChildren(...options.map(([one, title]) => new Option(title, one)));
  }
  select.value = value;
}

/** A name that keeps its end visible if it does not fit. @param {string} text @param {string} title */
export const nameOf = (text, title = text) => element("span", "name", { title }, element("bdi", "", {}, text));

/** A sample of a colour. @param {string} color @param {string} className */
export function swatch(color, className = "swatch") {
  const made = element("i", className);
  made.style.background = color;
  return made;
}

/** The nearest ancestor of the target of an event that matches, or null.
 * @param {Event} event @param {string} selector @returns {HTMLElement | null} */
export const closest = (event, selector) => (event.target instanceof Element ? event.target.closest(selector) : null);

/** Set a text, unless it is unchanged, as writing costs a layout. @param {Node} place @param {string} text */
export function say(place, text) { if (place.textContent !== text) place.textContent = text; }
