/** What a parser at the edge returns: the value with its proof in the type, or what is wrong with the text, in one sentence. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string }
