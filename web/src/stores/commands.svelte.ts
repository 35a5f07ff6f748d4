import type { IconName } from "../components/ui/icons";

/** Something that can be done from the command palette. */
export interface Command {
  id: string;
  text: string;
  icon: IconName;
  run(): void;
}

/** What pages offer to the command palette while they show, and whether it is open. */
export class Commands {
  open = $state(false);
  offered: readonly Command[] = $state.raw([]);

  /** Offer `commands` until what is returned is called: `$effect(() => commands.offer([…]))`. */
  offer(commands: readonly Command[]): () => void {
    this.offered = [...this.offered, ...commands];
    return () => {
      this.offered = this.offered.filter((each) => !commands.includes(each));
    };
  }
}
