import type { Parsed } from '../identity/parsed.ts'

const duration = /^([0-9]{1,9})(s|m|h|d|w)$/
const dateTime =
  /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)([Zz]|[+-][0-9]{2}:[0-9]{2}))?$/
const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const

/**
 * Parses a moment: RFC 3339 date and time, a date alone (its beginning, in UTC), or a duration such as `90s`, `30m`,
 * `1h`, `7d` or `2w` back from `now`.
 */
export function parseTime(text: string, now: Date): Parsed<Date> {
  const [, count, unit] = duration.exec(text) ?? []
  const milliseconds =
    count === undefined
      ? momentOf(text)
      : now.getTime() - Number(count) * unitSeconds[unit as keyof typeof unitSeconds] * 1000
  const value = new Date(milliseconds)
  const year = value.getUTCFullYear()
  if (year >= 0 && year <= 9999) return { ok: true, value }
  return {
    ok: false,
    problem: `${JSON.stringify(text)} is not a time: give RFC 3339 (2026-11-22T10:00:00Z), a date (2026-11-22) or a duration back from now (30m, 1h, 7d)`,
  }
}

function momentOf(text: string): number {
  const [, date, time, zone] = dateTime.exec(text) ?? []
  if (date === undefined || !isCalendarDay(date)) return NaN
  return Date.parse(time === undefined ? `${date}T00:00:00Z` : `${date}T${time}${(zone as string).toUpperCase()}`)
}

/** Date.parse takes 31 November for 1 December. */
function isCalendarDay(date: string): boolean {
  const day = new Date(`${date}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date)
}
