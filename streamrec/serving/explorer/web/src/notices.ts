/** `Notices`: short messages at the edge of the map, read aloud too; and what covers the map when there is none. */

import { h } from "./dom";

const SHOWN_MS = 9000;

export class Notices {
  readonly element = h("div", { class: "notices", role: "status", "aria-live": "polite" });
  readonly cover = h("div", { class: "cover" });
  private timer = 0;

  say(text: string, kind: "info" | "bad" = "info"): void {
    clearTimeout(this.timer);
    this.element.replaceChildren(
      h("p", { class: kind }, text, h("button", { type: "button", "aria-label": "Dismiss", onclick: () => this.clear() }, "×")),
    );
    if (kind === "info") this.timer = window.setTimeout(() => this.clear(), SHOWN_MS);
  }

  clear(): void {
    this.element.replaceChildren();
  }

  /** Say over the whole map why there is nothing to see. */
  block(title: string, text: string, retry?: () => void): void {
    this.cover.hidden = false;
    this.cover.replaceChildren(
      h("h2", {}, title),
      h("p", {}, text),
      ...(retry ? [h("button", { type: "button", class: "main", onclick: retry }, "Try again")] : [h("i", { class: "busy" })]),
    );
  }

  unblock(): void {
    this.cover.hidden = true;
    this.cover.replaceChildren();
  }
}
