/** What every wallet must know of the chain. */

/** How addresses begin. */
export const prefix = "plx";

/** The token's base unit, which amounts on chain are in. */
export const denom = "nplx";

/** The token's unit for people: 1 plx is 10 ** {@link exponent} nplx. */
export const displayDenom = "plx";

/** How many decimals a plx has. */
export const exponent = 9;

/** The token's number in key derivation paths (BIP-44): m/44'/118'/0'/0/0. */
export const coinType = 118;

/** A least price of gas that nodes take unless their operators say otherwise. */
export const gasPrice = "0.01nplx";

/**
 * Returns an amount of plx, as "1.5", in nplx, as "1500000000". Throws a
 * RangeError if it is no amount or has more than nine decimals.
 */
export function toBase(plx: string): string {
  const [, whole, part = ""] = /^(\d+)(?:\.(\d{1,9}))?$/.exec(plx) ?? [];
  if (whole === undefined) {
    throw new RangeError(`${plx} is no amount of plx: write digits with at most nine after the point`);
  }
  return (BigInt(whole) * 10n ** BigInt(exponent) + BigInt(part.padEnd(exponent, "0"))).toString();
}

/** Returns an amount of nplx, as "1500000000", in plx, as "1.5". */
export function fromBase(nplx: string): string {
  if (!/^\d+$/.test(nplx)) {
    throw new RangeError(`${nplx} is no amount of nplx: write digits`);
  }
  const digits = BigInt(nplx).toString().padStart(exponent + 1, "0");
  const part = digits.slice(-exponent).replace(/0+$/, "");
  return digits.slice(0, -exponent) + (part && `.${part}`);
}
