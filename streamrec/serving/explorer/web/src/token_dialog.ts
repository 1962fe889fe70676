/** Asks a person for a bearer token, where the service wants one. */

import { h } from "./dom";

export function askToken(refused: boolean): Promise<string> {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", id: "token", required: true, autocomplete: "off", spellcheck: "false" });
    const dialog = h(
      "dialog",
      { class: "token", "aria-labelledby": "token-title" },
      h(
        "form",
        {
          method: "dialog",
          onsubmit: (event: SubmitEvent) => {
            event.preventDefault();
            const token = input.value.trim();
            if (token === "") return;
            dialog.close();
            dialog.remove();
            resolve(token);
          },
        },
        h("h2", { id: "token-title" }, "This service needs a token"),
        h("p", {}, "Ask whoever runs it for a bearer token. It is kept in this tab alone, until the tab is closed."),
        refused && h("p", { class: "bad", role: "alert" }, "The token was refused."),
        h("label", { for: "token" }, "Token"),
        input,
        h("div", { class: "actions" }, h("button", { type: "submit", class: "main" }, "Use it")),
      ),
    );
    // Without a token there is nothing behind the dialog to go back to.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
