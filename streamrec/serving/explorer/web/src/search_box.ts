/** `SearchBox`: an id or a title with suggestions, as the combobox pattern of WAI-ARIA has it. */

import type { ItemId, Suggestions } from "./answers";
import { h } from "./dom";

const PAUSE_MS = 120;

let boxes = 0;

export class SearchBox {
  readonly element: HTMLElement;
  readonly input: HTMLInputElement;
  private readonly list: HTMLUListElement;
  private readonly key = `search-${++boxes}`;
  private found: Suggestions["items"] = [];
  private active = -1;
  private timer = 0;
  private asked = 0;

  /**
   * @param suggest items whose id or title has the text in it.
   * @param pick called with the id chosen, or with the text as it was typed.
   */
  constructor(
    label: string,
    placeholder: string,
    private readonly suggest: (text: string) => Promise<Suggestions["items"]>,
    private readonly pick: (id: ItemId) => void,
  ) {
    this.input = h("input", {
      type: "search",
      id: this.key,
      role: "combobox",
      "aria-expanded": "false",
      "aria-autocomplete": "list",
      "aria-controls": `${this.key}-list`,
      autocomplete: "off",
      spellcheck: "false",
      placeholder,
      oninput: () => this.later(),
      onkeydown: (event: KeyboardEvent) => this.press(event),
      onblur: () => this.close(),
    });
    this.list = h("ul", { id: `${this.key}-list`, role: "listbox", "aria-label": label, hidden: true });
    this.element = h("div", { class: "search" }, h("label", { for: this.key }, label), this.input, this.list);
  }

  set value(text: ItemId | "") {
    this.input.value = String(text);
  }

  private later(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.refresh(), PAUSE_MS);
  }

  private async refresh(): Promise<void> {
    const text = this.input.value.trim();
    const asked = ++this.asked;
    const found = text === "" ? [] : await this.suggest(text).catch(() => []);
    if (asked !== this.asked || document.activeElement !== this.input) return;
    this.found = found;
    this.active = -1;
    this.render(text);
  }

  private render(text: string): void {
    const options = this.found.map(({ id, title }, index) =>
      h(
        "li",
        {
          role: "option",
          id: `${this.key}-${index}`,
          "aria-selected": String(index === this.active),
          // Before the input loses the focus and the list closes.
          onpointerdown: (event: PointerEvent) => {
            event.preventDefault();
            this.choose(id);
          },
        },
        h("span", {}, title ?? String(id)),
        title !== null && h("small", {}, String(id)),
      ),
    );
    const none = h("li", { class: "none", role: "option", "aria-disabled": "true" }, `No item has “${text}” in its id or title`);
    this.list.replaceChildren(...(options.length > 0 ? options : [none]));
    this.list.hidden = text === "";
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    if (this.active >= 0) this.input.setAttribute("aria-activedescendant", `${this.key}-${this.active}`);
    else this.input.removeAttribute("aria-activedescendant");
    this.list.children[this.active]?.scrollIntoView({ block: "nearest" });
  }

  private press(event: KeyboardEvent): void {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move && this.found.length > 0) {
      const count = this.found.length;
      this.active = this.active < 0 && move < 0 ? count - 1 : (this.active + move + count) % count;
      this.render(this.input.value.trim());
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const text = this.input.value.trim();
      if (text !== "") this.choose(this.active >= 0 ? this.found[this.active].id : text);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.stopPropagation();
      event.preventDefault();
      this.close();
    }
  }

  private choose(id: ItemId): void {
    this.value = id;
    this.close();
    this.pick(id);
  }

  private close(): void {
    clearTimeout(this.timer);
    this.asked++;
    this.found = [];
    this.active = -1;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
