import { expect, it } from "vitest";

import { socketAddress } from "./client";

const INFO = { ws_url: null, ws_port: 8081, version: "1", beat_interval: 10 };

it.each([
  ["http:", "127.0.0.1", "ws://127.0.0.1:8081/ws"],
  ["https:", "board.example.org", "wss://board.example.org:8081/ws"],
  ["http:", "[::1]", "ws://[::1]:8081/ws"],
])("finds the workers beside the page at %s//%s", (protocol, hostname, address) => {
  expect(socketAddress(INFO, { protocol, hostname })).toBe(address);
});

it("prefers the address that is configured", () => {
  expect(socketAddress({ ...INFO, ws_url: "wss://live.example.org/ws" }, location)).toBe("wss://live.example.org/ws");
});
