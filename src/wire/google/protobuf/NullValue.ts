// Original file: null


export type NullValue =
  | 'NULL_VALUE'
  | 0

export type NullValue__Output = Exclude<NullValue, number> | number
