import { Problem } from "../../lib/problem";

/** The field that a refusal is about, by its code, and the code of the words for it there. */
const PLACES: Readonly<Record<string, { field: string; code: string }>> = {
  // Who is signed in has a good address: only the password can be wrong.
  invalid_credentials: { field: "password", code: "password_wrong" },
  second_factor_invalid: { field: "code", code: "second_factor_invalid" },
  second_factor_required: { field: "code", code: "second_factor_required" },
};

/** Do `deed`; refusals that are about a field are put there. */
export async function placed<T>(deed: Promise<T>): Promise<T> {
  try {
    return await deed;
  } catch (error) {
    const place = error instanceof Problem ? PLACES[error.code] : undefined;
    if (!(error instanceof Problem) || place === undefined) throw error;
    throw new Problem(error.status, place.code, error.detail, { ...error.extra, field: place.field });
  }
}
