/** `Tabs`: one of several panels, chosen by arrows or clicks. */

import { h } from "./dom";

export class Tabs {
  readonly element: HTMLElement;
  private readonly buttons: HTMLButtonElement[];
  private readonly panels: HTMLElement[];

  constructor(private readonly names: readonly string[]) {
    this.buttons = names.map((name) =>
      h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, onclick: () => this.show(name) }, name),
    );
    this.panels = names.map((name) => h("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, tabindex: 0 }));
    const list = h("div", { role: "tablist", "aria-label": "Details", onkeydown: (event: KeyboardEvent) => this.press(event) }, ...this.buttons);
    this.element = h("aside", { class: "panel", "aria-label": "Details" }, list, ...this.panels);
    this.show(names[0]);
  }

  fill(name: string, content: HTMLElement): void {
    this.panels[this.names.indexOf(name)].replaceChildren(content);
  }

  show(name: string): void {
    this.names.forEach((each, index) => {
      const chosen = each === name;
      this.buttons[index].setAttribute("aria-selected", String(chosen));
      this.buttons[index].tabIndex = chosen ? 0 : -1;
      this.panels[index].hidden = !chosen;
    });
  }

  private press(event: KeyboardEvent): void {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = this.buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (!move || at < 0) return;
    const next = (at + move + this.names.length) % this.names.length;
    this.show(this.names[next]);
    this.buttons[next].focus();
  }
}
