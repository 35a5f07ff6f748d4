/** A text, or its plural forms by the categories of `Intl.PluralRules`. */
export type Message = string | Plural;
export type Plural = { readonly other: string } & { readonly [Category in Intl.LDMLPluralRule]?: string };

export type Messages = Readonly<Record<string, Message>>;

/** The same texts in another language: none is missing and none is left over, or the build fails. */
export type Translation<English extends Messages> = {
  readonly [Key in keyof English]: English[Key] extends string ? string : Plural;
};
