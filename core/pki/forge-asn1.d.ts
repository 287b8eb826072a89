/**
 * The part of node-forge that is used: its ASN.1 layer. Imported by itself, for the whole package costs 8 MiB of memory
 * and 20 ms of start, and its own types only describe the whole.
 */
declare module 'node-forge/lib/asn1.js' {
  /** A value; `value` is a binary string (one character per byte) for a primitive one, else its children. */
  export interface Asn1 {
    tagClass: number
    type: number
    constructed: boolean
    composed: boolean
    value: string | Asn1[]
  }

  const asn1: {
    create(tagClass: number, type: number, constructed: boolean, value: string | Asn1[]): Asn1
    fromDer(
      bytes: string,
      options: { strict: boolean; parseAllBytes: boolean; decodeBitStrings: boolean; maxDepth: number },
    ): Asn1
    toDer(value: Asn1): { getBytes(): string }
  }
  export default asn1
}
