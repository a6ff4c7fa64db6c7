// How the console's figures read.

/** Thousandths of a core. */
export const cores = (milli: number) => String(Math.round(milli / 10) / 100)

/** Bytes in the greatest unit that leaves at least one. */
export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let i = 0
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024
  return `${n >= 100 || i === 0 ? Math.round(n) : Math.round(n * 10) / 10} ${units[i]}`
}

/** A sum as the console writes it, with at most six significant places. */
export function money(text: string): string {
  const parts = /^([0-9.]+) ?(.*)$/.exec(text)
  if (!parts) return text
  const ours = parts[2] === 'plx' || parts[2] === 'nplx'
  const n = Number(parts[1]) * (parts[2] === 'nplx' ? 1e-9 : 1)
  if (n > 0 && n < 1e-6) return text
  const digits = n >= 1000 ? 1 : n >= 1 ? 3 : 6
  return `${n.toLocaleString('en', { maximumFractionDigits: digits })} ${ours ? 'PLX' : parts[2]}`
}

/** Seconds in the two greatest units. */
export function span(seconds: number): string {
  const [day, hour, minute] = [86400, 3600, 60]
  if (seconds >= 400 * day) return `${(seconds / (365 * day)).toFixed(1)} years`
  if (seconds >= 2 * day) return `${Math.floor(seconds / day)} days ${Math.floor((seconds % day) / hour)} h`
  if (seconds >= 2 * hour) return `${Math.floor(seconds / hour)} h ${Math.floor((seconds % hour) / minute)} min`
  if (seconds >= 2 * minute) return `${Math.floor(seconds / minute)} min`
  return `${seconds} s`
}

export const short = (address: string) => (address.length > 16 ? `${address.slice(0, 8)}…${address.slice(-5)}` : address)

export const clock = (time: string) => new Date(time).toLocaleTimeString('en-GB')

/** Day and time of day. */
export const when = (time: string) => new Date(time).toLocaleString('en-GB', { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' })

/** Day and second. */
export const stamp = (time: string) => new Date(time).toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' })
