import { describe, expect, it, vi } from "vitest";
import { Api, ApiError, BundleChanged, TOKEN, Unreachable } from "../src/api";

function storage(initial: Record<string, string> = {}) {
  const kept = new Map(Object.entries(initial));
  return { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
}

const answer = (content: unknown, status = 200) => new Response(JSON.stringify(content), { status });
const refused = () => answer({ error: { code: "unauthorized", message: "expected a known bearer token" }, bundle: "a" }, 401);
const noToken = () => Promise.reject(new Error("asked for a token"));
const sent = (send: ReturnType<typeof vi.fn>, call: number) =>
  new Headers((send.mock.calls[call][1] as RequestInit).headers).get("authorization");

describe("api", () => {
  it("puts parameters into the query and leaves out those that are not given", async () => {
    const send = vi.fn(async () => answer({ bundle: "a" }));
    await new Api(storage(), noToken, send).get("v1/explorer/suggest", { text: "a & b", most: undefined });
    expect(send).toHaveBeenCalledWith("v1/explorer/suggest?text=a+%26+b", expect.anything());
  });

  it("refuses an answer of another bundle than the page shows", async () => {
    const api = new Api(storage(), noToken, async () => answer({ bundle: "b" }));
    expect((await api.get("v1/bundle")).bundle).toBe("b");
    api.version = "a";
    await expect(api.get("v1/bundle")).rejects.toEqual(expect.objectContaining({ version: "b" }));
    await expect(api.get("v1/bundle")).rejects.toBeInstanceOf(BundleChanged);
  });

  it("judges an answer by the bundle that was shown when it was asked for", async () => {
    let reply = (_: Response): void => undefined;
    const api = new Api(storage(), noToken, () => new Promise((resolve) => { reply = resolve; }));
    api.version = "a";
    const late = api.get("v1/bundle");
    api.version = "b";
    reply(answer({ bundle: "b" }));
    await expect(late).rejects.toBeInstanceOf(BundleChanged);
  });

  it("asks for a token once, keeps it, and asks again where it is refused", async () => {
    const tokens = storage();
    const asked: boolean[] = [];
    const ask = async (again: boolean) => (asked.push(again), again ? "right" : "wrong");
    const send = vi.fn(async (_: unknown, init?: RequestInit) =>
      new Headers(init?.headers).get("authorization") === "Bearer right" ? answer({ bundle: "a" }) : refused(),
    );
    await new Api(tokens, ask, send as typeof fetch).get("v1/bundle");
    expect(asked).toEqual([false, true]);
    expect([0, 1, 2].map((call) => sent(send, call))).toEqual([null, "Bearer wrong", "Bearer right"]);
    expect(tokens.getItem(TOKEN)).toBe("right");
  });

  it("asks once for several requests refused together", async () => {
    const ask = vi.fn(async () => "right");
    const send = async (_: unknown, init?: RequestInit) =>
      new Headers(init?.headers).has("authorization") ? answer({ bundle: "a" }) : refused();
    const api = new Api(storage(), ask, send as typeof fetch);
    await Promise.all([api.get("x"), api.get("y"), api.post("z", {})]);
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it("tells what the service says is wrong", async () => {
    const api = new Api(storage(), noToken, async () =>
      answer({ error: { code: "not_found", message: "no item 'x'", hint: "look it up" }, bundle: "a" }, 404),
    );
    await expect(api.get("v1/items/x")).rejects.toEqual(
      expect.objectContaining({ status: 404, code: "not_found", message: "no item 'x'", hint: "look it up" }),
    );
  });

  it("tells an error that is not of the service's form, and no answer at all", async () => {
    const proxy = new Api(storage(), noToken, async () => new Response("<html>bad gateway", { status: 502 }));
    await expect(proxy.get("v1/bundle")).rejects.toBeInstanceOf(ApiError);
    const nothing = new Api(storage(), noToken, () => Promise.reject(new TypeError("failed")));
    await expect(nothing.get("v1/bundle")).rejects.toBeInstanceOf(Unreachable);
  });
});
