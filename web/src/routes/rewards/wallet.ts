/** A wallet's address in groups of four, as people compare it. */
export function grouped(address: string): string {
  return address.startsWith("0x") ? `0x ${address.slice(2).replace(/(.{4})(?=.)/g, "$1 ")}` : address;
}
