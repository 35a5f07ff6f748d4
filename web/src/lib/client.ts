import type { NetworkSummary, Overview } from "./protocol";
import type { Session } from "./session.svelte";

/** What `POST /nodes/enrolments` answers: a token that lets a machine join, until `expires_at`. */
export interface Enrolment {
  token: string;
  expires_at: string;
}

/** What `GET /client` answers: where the workers are, and which version this is. */
export interface ClientInfo {
  ws_url: string | null;
  ws_port: number;
  version: string;
  beat_interval: number;
}

/** The API's endpoints as functions. All reject with `SignedOut`, `Problem` or `Unreachable`. */
export class Client {
  constructor(private readonly session: Session) {}

  info(): Promise<ClientInfo> {
    return this.session.ask("/client");
  }

  overview(): Promise<Overview> {
    return this.session.ask("/me/overview");
  }

  network(): Promise<NetworkSummary> {
    return this.session.ask("/network/summary");
  }

  enrol(): Promise<Enrolment> {
    return this.session.ask("/nodes/enrolments", { method: "POST" });
  }
}

/** The address of the workers as seen from the page at `page`. */
export function socketAddress(info: ClientInfo, page: { protocol: string; hostname: string }): string {
  if (info.ws_url) return info.ws_url;
  const scheme = page.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${page.hostname}:${info.ws_port}/ws`;
}
