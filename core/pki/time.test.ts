import { describe, expect, test } from 'vitest'
import { ascii, encodeDer } from './der-encode.ts'
import { TAG } from './der-tags.ts'
import { readDer } from './der.ts'
import { decodeTime, encodeTime } from './time.ts'

describe('RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050', () => {
  test.for([
    { date: '2026-06-01T12:34:56Z', tag: TAG.utcTime, text: '260601123456Z' },
    { date: '1950-01-01T00:00:00Z', tag: TAG.utcTime, text: '500101000000Z' },
    { date: '2049-12-31T23:59:59Z', tag: TAG.utcTime, text: '491231235959Z' },
    { date: '2050-01-01T00:00:00Z', tag: TAG.generalizedTime, text: '20500101000000Z' },
    { date: '1949-12-31T23:59:59Z', tag: TAG.generalizedTime, text: '19491231235959Z' },
    { date: '9999-12-31T23:59:59Z', tag: TAG.generalizedTime, text: '99991231235959Z' },
  ])('$date', ({ date, tag, text }) => {
    const value = readDer(encodeDer(encodeTime(new Date(date))))
    expect(value.tag).toBe(tag)
    expect(value.contents.toString('latin1')).toBe(text)
    expect(decodeTime(value)).toEqual(new Date(date))
  })

  test('parts of a second are cut off', () => {
    const value = readDer(encodeDer(encodeTime(new Date('2026-06-01T12:34:56.999Z'))))
    expect(decodeTime(value)).toEqual(new Date('2026-06-01T12:34:56Z'))
  })

  test.for(['+010000-01-01T00:00:00Z', 'never'])('no certificate holds %s', (date) => {
    expect(() => encodeTime(new Date(date))).toThrow(TypeError)
  })
})

describe('refuses', () => {
  test.for([
    { tag: TAG.utcTime, text: '2606011234Z' },
    { tag: TAG.utcTime, text: '260601123456+0100' },
    { tag: TAG.utcTime, text: '260601123456' },
    { tag: TAG.utcTime, text: '20260601123456Z' },
    { tag: TAG.utcTime, text: '260230000000Z' },
    { tag: TAG.utcTime, text: '261301000000Z' },
    { tag: TAG.utcTime, text: '260601240000Z' },
    { tag: TAG.utcTime, text: '260601123460Z' },
    { tag: TAG.generalizedTime, text: '20260601123456Z' },
    { tag: TAG.generalizedTime, text: '20510601123456.5Z' },
    { tag: TAG.ia5String, text: '260601123456Z' },
  ])('$text', ({ tag, text }) => {
    expect(decodeTime(readDer(encodeDer(ascii(tag, text))))).toBeUndefined()
  })
})
