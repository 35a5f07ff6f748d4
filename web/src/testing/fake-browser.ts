import type { Browser } from "../lib/shared-socket";

interface Waiting {
  options: LockOptions;
  grant(): void;
  refuse(error: Error): void;
}

/** The locks and channels of a browser, shared by the tabs of a test; one of them can be frozen or closed. */
export class FakeBrowser {
  readonly #held = new Map<string, { tab: FakeTab; lose(error: Error): void }>();
  readonly #waiting = new Map<string, (Waiting & { tab: FakeTab })[]>();
  readonly #channels = new Map<string, Set<FakeChannel>>();

  tab(): FakeTab {
    return new FakeTab(this);
  }

  join(name: string, channel: FakeChannel): void {
    const joined = this.#channels.get(name) ?? new Set();
    this.#channels.set(name, joined.add(channel));
  }

  leave(name: string, channel: FakeChannel): void {
    this.#channels.get(name)?.delete(channel);
  }

  post(name: string, from: FakeChannel, data: unknown): void {
    for (const each of this.#channels.get(name) ?? []) {
      if (each === from || each.tab.frozen) continue;
      const copy: unknown = structuredClone(data);
      queueMicrotask(() => each.onmessage?.({ data: copy }));
    }
  }

  request(tab: FakeTab, name: string, options: LockOptions, run: () => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const grant = (): void => {
        const holder = { tab, lose: reject };
        this.#held.set(name, holder);
        void Promise.resolve(run()).then((value) => {
          resolve(value);
          if (this.#held.get(name) === holder) this.#free(name);
        });
      };
      const refuse = (error: Error): void => {
        const queue = this.#waiting.get(name) ?? [];
        this.#waiting.set(name, queue.filter((each) => each.grant !== grant));
        reject(error);
      };
      options.signal?.addEventListener("abort", () => refuse(new Error("aborted")));
      if (options.steal) {
        this.#held.get(name)?.lose(new Error("stolen"));
        grant();
      } else if (this.#held.has(name)) {
        const queue = this.#waiting.get(name) ?? [];
        this.#waiting.set(name, [...queue, { tab, options, grant, refuse }]);
      } else {
        queueMicrotask(grant);
      }
    });
  }

  close(tab: FakeTab): void {
    for (const [name, queue] of this.#waiting) this.#waiting.set(name, queue.filter((each) => each.tab !== tab));
    for (const [name, holder] of [...this.#held]) if (holder.tab === tab) this.#free(name);
  }

  #free(name: string): void {
    this.#held.delete(name);
    const [next, ...rest] = this.#waiting.get(name) ?? [];
    this.#waiting.set(name, rest);
    next?.grant();
  }
}

class FakeChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(
    readonly tab: FakeTab,
    private readonly browser: FakeBrowser,
    private readonly name: string,
  ) {
    browser.join(name, this);
  }

  postMessage(data: unknown): void {
    if (!this.tab.frozen) this.browser.post(this.name, this, data);
  }

  close(): void {
    this.browser.leave(this.name, this);
  }
}

/** One tab's view of the browser. */
export class FakeTab implements Browser {
  /** It neither hears nor speaks, and keeps its locks. */
  frozen = false;
  unseen = false;
  readonly #channels: FakeChannel[] = [];

  constructor(private readonly browser: FakeBrowser) {}

  readonly locks = {
    request: (name: string, ...rest: unknown[]) => {
      const run = rest.at(-1) as () => unknown;
      const options = rest.length > 1 ? (rest[0] as LockOptions) : {};
      return this.browser.request(this, name, options, run);
    },
  } as Browser["locks"];

  channel(name: string): BroadcastChannel {
    const made = new FakeChannel(this, this.browser, name);
    this.#channels.push(made);
    return made as unknown as BroadcastChannel;
  }

  hidden(): boolean {
    return this.unseen;
  }

  /** The tab is gone, without a word. */
  close(): void {
    for (const each of this.#channels) each.close();
    this.browser.close(this);
  }
}
