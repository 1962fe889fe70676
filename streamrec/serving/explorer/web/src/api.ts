/** `Api`: requests to the service. Answers of two bundles are never mixed. */

import type { Answer } from "./answers";

/** An answer that is an error, in the service's one format. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null = null,
  ) {
    super(message);
  }
}

/** The service answered from another bundle than the one the page shows. */
export class BundleChanged extends Error {
  constructor(readonly version: string | null) {
    super("the service has another bundle now");
  }
}

/** No answer at all. */
export class Unreachable extends Error {}

/** Where a token is kept: gone when the tab is closed. */
export interface TokenStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export const TOKEN = "streamrec.token";

type Parameters = Record<string, string | number | undefined>;

export class Api {
  /** Version of the bundle that the page shows; null while it shows none. */
  version: string | null = null;

  private asking: Promise<string> | null = null;

  /**
   * @param askToken asks a person for a token; told whether one was refused.
   */
  constructor(
    private readonly tokens: TokenStore,
    private readonly askToken: (refused: boolean) => Promise<string>,
    private readonly send: typeof fetch = (input, init) => fetch(input, init),
  ) {}

  get<T extends Answer>(path: string, parameters: Parameters = {}, signal?: AbortSignal): Promise<T> {
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return this.ask<T>(query ? `${path}?${query}` : path, { signal });
  }

  post<T extends Answer>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    const headers = { "content-type": "application/json" };
    return this.ask<T>(path, { method: "POST", body: JSON.stringify(body), headers, signal });
  }

  private async ask<T extends Answer>(path: string, init: RequestInit): Promise<T> {
    const expected = this.version;
    const token = this.tokens.getItem(TOKEN);
    const headers = { ...init.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
    let response: Response;
    try {
      response = await this.send(path, { ...init, headers });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new Unreachable("the service does not answer");
    }
    if (response.status === 401) {
      await this.newToken(token);
      return this.ask<T>(path, init);
    }
    const content = await response.json().catch(() => null);
    if (!response.ok) throw errorOf(response.status, content);
    if (content === null) throw new ApiError(response.status, "not_json", "the answer cannot be read");
    if (expected !== null && content.bundle !== expected) throw new BundleChanged(content.bundle);
    return content as T;
  }

  /** Several requests refused at once ask for one token. */
  private async newToken(refused: string | null): Promise<void> {
    const now = this.tokens.getItem(TOKEN);
    if (now !== refused) return;
    this.asking ??= this.askToken(refused !== null).finally(() => {
      this.asking = null;
    });
    this.tokens.setItem(TOKEN, await this.asking);
  }
}

function errorOf(status: number, content: unknown): Error {
  const error = (content as { error?: { code?: string; message?: string; hint?: string } } | null)?.error;
  return new ApiError(status, error?.code ?? "unknown", error?.message ?? `HTTP status ${status}`, error?.hint ?? null);
}
