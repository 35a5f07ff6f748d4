import { describe, expect, it } from "vitest";

import { Problem, Unreachable } from "../../lib/problem";
import { placed } from "./refusals";

describe("a refusal", () => {
  it.each([
    ["invalid_credentials", "password", "password_wrong"],
    ["second_factor_invalid", "code", "second_factor_invalid"],
    ["second_factor_required", "code", "second_factor_required"],
  ])("for %s stands at the %s", async (code, field, words) => {
    const refused = placed(Promise.reject(new Problem(401, code, "No.")));
    await expect(refused).rejects.toMatchObject({ status: 401, code: words, field });
  });

  it("of another kind stays as it is", async () => {
    const problem = new Problem(429, "too_many_attempts", "Wait.", { retry_after: 3 });
    await expect(placed(Promise.reject(problem))).rejects.toBe(problem);
    const away = new Unreachable(new Error("no network"));
    await expect(placed(Promise.reject(away))).rejects.toBe(away);
  });

  it("that there is none answers", async () => {
    await expect(placed(Promise.resolve(7))).resolves.toBe(7);
  });
});
