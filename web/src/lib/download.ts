import type { Session } from "./session.svelte";

/**
 * Have the browser save what the API answers at `path` as a file called `name`.
 *
 * Rejects with `SignedOut`, `Problem` or `Unreachable`.
 */
export async function download(session: Session, path: string, name: string, type: string): Promise<void> {
  saveFile(await session.ask<string>(path, { file: true }), name, type);
}

/** Have the browser save `text` as a file called `name`. */
export function saveFile(text: string, name: string, type: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has begun to save it by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
