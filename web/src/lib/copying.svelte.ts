import { copyText } from "./clipboard";

const SHOWN_MS = 2_000;

/** How copying went, for as long as that is told. Made while its component is made. */
export class Copying {
  outcome: "copied" | "failed" | null = $state(null);

  constructor() {
    $effect(() => {
      if (this.outcome === null) return;
      const timer = setTimeout(() => (this.outcome = null), SHOWN_MS);
      return () => clearTimeout(timer);
    });
  }

  async copy(text: string): Promise<void> {
    this.outcome = (await copyText(text)) ? "copied" : "failed";
  }
}
