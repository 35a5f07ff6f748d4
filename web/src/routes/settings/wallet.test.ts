import { afterEach, expect, it, vi } from "vitest";

import { addressFrom, type FoundWallet, type Provider, shortAddress, signatureFrom, WalletTrouble, watchWallets } from "./wallet";

const answering = (answer: (method: string, params: readonly unknown[]) => unknown): Provider => ({
  request: ({ method, params = [] }) => Promise.resolve().then(() => answer(method, params)),
});
const refusing = (code: number): Provider => answering(() => Promise.reject(Object.assign(new Error("no"), { code })));

function announce(uuid: string, name: string, provider: unknown): void {
  dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: { info: { uuid, name }, provider } }));
}

afterEach(() => vi.unstubAllGlobals());

it("asks for wallets and hears of them as they come, each once", () => {
  const asked = vi.fn();
  addEventListener("eip6963:requestProvider", asked, { once: true });
  let found: readonly FoundWallet[] = [];
  const stop = watchWallets((wallets) => (found = wallets));
  expect(asked).toHaveBeenCalledOnce();
  expect(found).toEqual([]);
  announce("1", "One", refusing(0));
  announce("2", "Two", refusing(0));
  announce("1", "One again", refusing(0));
  expect(found.map(({ name }) => name)).toEqual(["One again", "Two"]);
  stop();
  announce("3", "Three", refusing(0));
  expect(found).toHaveLength(2);
});

it("leaves aside what is no wallet", () => {
  let found: readonly FoundWallet[] = [];
  const stop = watchWallets((wallets) => (found = wallets));
  announce("1", "None", null);
  announce(1 as never, "Number", refusing(0));
  dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: null }));
  expect(found).toEqual([]);
  stop();
});

it("takes the one on the window while none announces itself", () => {
  vi.stubGlobal("ethereum", refusing(0));
  let found: readonly FoundWallet[] = [];
  const stop = watchWallets((wallets) => (found = wallets));
  expect(found.map(({ id }) => id)).toEqual(["window"]);
  announce("1", "One", refusing(0));
  expect(found.map(({ id }) => id)).toEqual(["1"]);
  stop();
});

it("has the text signed as it is, in UTF-8", async () => {
  const calls: unknown[] = [];
  const provider = answering((method, params) => {
    calls.push([method, ...params]);
    return method === "eth_requestAccounts" ? ["0xAb"] : "0x5169";
  });
  expect(await addressFrom(provider)).toBe("0xAb");
  expect(await signatureFrom(provider, "0xAb", "Grüß\n")).toBe("0x5169");
  expect(calls).toEqual([["eth_requestAccounts"], ["personal_sign", "0x4772c3bcc39f0a", "0xAb"]]);
});

it.each([
  [refusing(4001), "rejected"],
  [refusing(-32002), "pending"],
  [refusing(-32603), "other"],
  [answering(() => []), "none"],
  [answering(() => null), "none"],
  [answering(() => [{}]), "none"],
] as [Provider, string][])("says why there is no address", async (provider, reason) => {
  await expect(addressFrom(provider)).rejects.toMatchObject({ name: "WalletTrouble", reason });
});

it("takes no signature that is none", async () => {
  await expect(signatureFrom(answering(() => ({})), "0xAb", "text")).rejects.toBeInstanceOf(WalletTrouble);
});

it("shortens an address", () => {
  expect(shortAddress("0x2b9dA5e7aaD01cAFAdf52AbF3a964288DF2805Ed")).toBe("0x2b9d…05Ed");
});
