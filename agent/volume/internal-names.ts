import { NEXT_SOCKET } from './pod-socket.ts'

/** The link that names the generation in force. Renaming another over it is the one moment at which all files change. */
export const DATA = '..data'
/** What is renamed over it. */
export const NEXT_DATA = '..data_next'

/** The folder of a generation. */
export function generationName(number: number): string {
  return `..${number}`
}

export function generationNumber(name: string): number | undefined {
  return /^\.\.[1-9][0-9]{0,14}$/.test(name) ? Number(name.slice(2)) : undefined
}

/** What is no file of a pod's. A file may begin like it: two dots are a legal beginning of a trust domain's name. */
export function isInternal(name: string): boolean {
  return [DATA, NEXT_DATA, NEXT_SOCKET].includes(name) || generationNumber(name) !== undefined
}
