/** Elements in one call. */

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | null | undefined | ((event: never) => void);

/**
 * An element with attributes, listeners (`onclick`) and children; `null` and `false` are left out.
 *
 * Text goes in as text: nothing that the service answers is read as markup.
 */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child instanceof Node || typeof child === "string"));
  return element;
}

/** A small square in a colour of the data. */
export function swatch(colour: string, shape: "dot" | "diamond" = "dot"): HTMLElement {
  const element = h("i", { class: `swatch ${shape}`, "aria-hidden": "true" });
  // Set by script, not by an attribute: the page's policy allows no inline style.
  element.style.setProperty("--colour", colour);
  return element;
}
