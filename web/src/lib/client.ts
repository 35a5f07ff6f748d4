import type { ClientSettings, Enrolment } from "./api";
import { type Answered, type Arguments, type Endpoint, requestOf } from "./endpoint";
import type { Answer } from "./http";
import type { NetworkSummary, Overview } from "./protocol";
import type { Session } from "./session.svelte";

export type { ClientSettings, Enrolment } from "./api";

/** The API's endpoints as functions. All reject with `SignedOut`, `Problem` or `Unreachable`. */
export class Client {
  constructor(private readonly session: Session) {}

  /** Ask an endpoint: `call("PATCH /nodes/{node_id}", { path: { node_id }, body: { name } })`. */
  call<E extends Endpoint>(endpoint: E, ...[asked]: Arguments<E>): Promise<Answered<E>> {
    return this.session.ask(...requestOf(endpoint, asked));
  }

  /** GET an address below the API's, unless it is still the version `etag`. */
  read<T>(address: string, etag: string | null): Promise<Answer<T>> {
    return this.session.answer(address, etag === null ? {} : { headers: { "If-None-Match": etag } });
  }

  info(): Promise<ClientSettings> {
    return this.call("GET /client");
  }

  overview(): Promise<Overview> {
    return this.call("GET /me/overview");
  }

  network(): Promise<NetworkSummary> {
    return this.call("GET /network/summary");
  }

  enrol(): Promise<Enrolment> {
    return this.call("POST /nodes/enrolments");
  }
}

/** The address of the workers as seen from the page at `page`. */
export function socketAddress(info: Pick<ClientSettings, "ws_url" | "ws_port">, page: { protocol: string; hostname: string }): string {
  if (info.ws_url) return info.ws_url;
  const scheme = page.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${page.hostname}:${info.ws_port}/ws`;
}
