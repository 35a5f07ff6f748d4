import { untrack } from "svelte";

import type { Profile, ProfileChange } from "../../lib/api";
import { useApp } from "../../lib/app";
import { useResource } from "../../lib/use.svelte";

/** The profile of whoever is signed in, and how it is changed; call it while the component is made. */
export function useProfile() {
  const { client, session } = useApp();
  const answer = useResource("GET /me", () => ({}));

  // What the session knows is from its last sign-in or refresh; another tab may know better.
  $effect(() => {
    const { data } = answer;
    if (data) untrack(() => session.learn(data));
  });

  function learn(profile: Profile): void {
    session.learn(profile);
    answer.put(profile);
  }

  return {
    get current(): Profile {
      // Pages of settings are for people who are signed in.
      return session.user as Profile;
    },
    /** Something that a write has changed. */
    set(changes: Partial<Profile>): void {
      learn({ ...this.current, ...changes });
    },
    /** Rejects with `SignedOut`, `Problem` or `Unreachable`. */
    async change(changes: ProfileChange): Promise<void> {
      learn(await client.call("PATCH /me", { body: changes }));
    },
  };
}
