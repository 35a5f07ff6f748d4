/** What a browser's wallet offers a page (EIP-1193). */
export interface Provider {
  request(call: { method: string; params?: readonly unknown[] }): Promise<unknown>;
}

/** A wallet of this browser. */
export interface FoundWallet {
  id: string;
  name: string;
  provider: Provider;
}

interface Announcement {
  info: { uuid: string; name: string };
  provider: Provider;
}

/** Why a wallet did not do as it was asked. */
export class WalletTrouble extends Error {
  constructor(
    readonly reason: "rejected" | "pending" | "none" | "other",
    cause?: unknown,
  ) {
    super(`the wallet did not: ${reason}`, { cause });
    this.name = "WalletTrouble";
  }
}

/**
 * Tell `found` the wallets of this browser, as they come to be known, until what is returned is called.
 *
 * They announce themselves (EIP-6963); one that does not is where wallets used to be, on the window.
 */
export function watchWallets(found: (wallets: readonly FoundWallet[]) => void): () => void {
  const known = new Map<string, FoundWallet>();
  const tell = (): void => {
    const old = (globalThis as { ethereum?: Provider }).ethereum;
    found(known.size > 0 || !isProvider(old) ? [...known.values()] : [{ id: "window", name: "", provider: old }]);
  };
  const announced = (event: Event): void => {
    const { detail } = event as CustomEvent<Announcement | null>;
    // Any script of the browser's may announce anything.
    if (!isProvider(detail?.provider) || typeof detail.info?.uuid !== "string") return;
    known.set(detail.info.uuid, { id: detail.info.uuid, name: String(detail.info.name), provider: detail.provider });
    tell();
  };
  addEventListener("eip6963:announceProvider", announced);
  tell();
  dispatchEvent(new Event("eip6963:requestProvider"));
  return () => removeEventListener("eip6963:announceProvider", announced);
}

/** The address that the wallet lets this page know. Rejects with `WalletTrouble`. */
export async function addressFrom(provider: Provider): Promise<string> {
  const accounts = await ask(provider, "eth_requestAccounts");
  const first: unknown = Array.isArray(accounts) ? accounts[0] : undefined;
  if (typeof first !== "string") throw new WalletTrouble("none");
  return first;
}

/** The wallet's signature over `message` (EIP-191, version 0x45), in hex. Rejects with `WalletTrouble`. */
export async function signatureFrom(provider: Provider, address: string, message: string): Promise<string> {
  const signature = await ask(provider, "personal_sign", [hexOf(message), address]);
  if (typeof signature !== "string") throw new WalletTrouble("other");
  return signature;
}

/** `0x1234…cdef` */
export function shortAddress(address: string): string {
  return `${address.slice(0, 6)}…${address.slice(-4)}`;
}

async function ask(provider: Provider, method: string, params: readonly unknown[] = []): Promise<unknown> {
  try {
    return await provider.request({ method, params });
  } catch (error) {
    const code = (error as { code?: unknown } | null)?.code;
    throw new WalletTrouble(code === 4001 ? "rejected" : code === -32002 ? "pending" : "other", error);
  }
}

function hexOf(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function isProvider(thing: unknown): thing is Provider {
  return typeof (thing as Provider | null | undefined)?.request === "function";
}
