import { CloseCode } from "../lib/protocol";
import type { SocketState } from "../lib/socket";
import { t } from "../lib/text.svelte";

export type Health = "live" | "connecting" | "offline";

/** After so many failed attempts "connecting" is no honest word any more. */
const ATTEMPTS_SHOWN = 5;

/** How the live connection is, in the words people see. */
export class Connection {
  /** When figures were last known to be the newest (milliseconds, this machine's clock). */
  heardAt: number | null = $state(null);

  #socket: SocketState = $state.raw({ phase: "connecting", attempt: 0 });
  #online = $state(true);

  readonly health: Health = $derived.by(() => {
    const state = this.#socket;
    if (state.phase === "live") return "live";
    if (state.phase === "stopped" || !this.#online) return "offline";
    return state.attempt < ATTEMPTS_SHOWN ? "connecting" : "offline";
  });

  readonly word: string = $derived(
    this.health === "connecting" && this.heardAt !== null
      ? t("connection.reconnecting")
      : t(`connection.${this.health}`),
  );

  /** The figures on the page are from before and nothing says that they still hold. */
  readonly stale: boolean = $derived(this.health === "offline" && this.heardAt !== null);

  /** Why nothing is tried any more, if so. */
  readonly closed: string | null = $derived.by(() => {
    const state = this.#socket;
    if (state.phase !== "stopped" || state.code === null) return null;
    if (state.code === CloseCode.CONNECTION_LIMIT) return t("connection.closed.connection_limit");
    if (state.code === CloseCode.RATE_LIMIT) return t("connection.closed.rate_limit");
    return t("connection.closed.other", { code: String(state.code) });
  });

  /** The socket's state changed. */
  socket(state: SocketState): void {
    this.#socket = state;
  }

  /** The browser gained or lost its network. */
  network(online: boolean): void {
    this.#online = online;
  }
}
