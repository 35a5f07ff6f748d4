import { tick } from "svelte";

import { inWords, Problem } from "./problem";

/**
 * A form's sending: busy while it is under way, and what was wrong, per field or in general.
 * What people typed is theirs: nothing here touches it.
 */
export class Form<Name extends string> {
  busy = $state(false);
  trouble: string | null = $state(null);
  errors: Partial<Record<Name, string>> = $state({});

  constructor(private readonly names: readonly Name[]) {}

  /** Run `send` unless `check` finds fault with a field; tells whether all went well. */
  async submit(check: () => Partial<Record<Name, string>>, send: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.trouble = null;
    this.errors = check();
    if (Object.keys(this.errors).length > 0) return false;
    this.busy = true;
    try {
      await send();
      return true;
    } catch (error) {
      this.#explain(error);
      return false;
    } finally {
      this.busy = false;
    }
  }

  /** What its element does when it is sent: `submit`, then the focus goes where the first fault is. */
  sending(check: () => Partial<Record<Name, string>>, send: () => Promise<void>): (event: SubmitEvent) => Promise<void> {
    return async (event) => {
      event.preventDefault();
      const element = event.currentTarget as HTMLFormElement;
      if (await this.submit(check, send)) return;
      await tick();
      focusFirstError(element);
    };
  }

  #explain(error: unknown): void {
    const field = error instanceof Problem ? error.field : null;
    const name = this.names.find((known) => known === field);
    if (name === undefined) this.trouble = inWords(error);
    else this.errors = { [name]: inWords(error) } as Partial<Record<Name, string>>;
  }
}

/** Put the focus on the first field of `form` that has an error. */
function focusFirstError(form: HTMLFormElement): void {
  form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
}
