import { encode } from "uqr";

/** A QR code as an outline: squares of 1, from 0 to `size` on both axes. */
export interface QrOutline {
  size: number;
  path: string;
}

/** The QR code of `text`, with 15 % of it to spare (level M). Throws `RangeError` when it does not fit. */
export function qrOutline(text: string): QrOutline {
  const { size, data } = encode(text, { ecc: "M", border: 0 });
  const parts: string[] = [];
  for (const [y, row] of data.entries()) {
    for (let x = 0; x < size; x += 1) {
      if (!row[x]) continue;
      const from = x;
      while (row[x + 1]) x += 1;
      parts.push(`M${from} ${y}h${x + 1 - from}v1h-${x + 1 - from}z`);
    }
  }
  return { size, path: parts.join("") };
}
