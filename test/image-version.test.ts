import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (file: string) => readFileSync(file, 'utf8')

test('the image and the chart say the version of package.json', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  expect(/^ARG VERSION=(.+)$/m.exec(read('Dockerfile'))?.[1]).toBe(version)
  expect(/^appVersion: (.+)$/m.exec(read('deploy/chart/Chart.yaml'))?.[1]).toBe(version)
})
