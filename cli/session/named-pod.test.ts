import { expect, test } from 'vitest'
import { namedPod } from './named-pod.ts'

const session = { namespace: () => Promise.resolve('shop') }

test('a name is of the namespace of the context, unless it says another', async () => {
  expect(await namedPod('<name>', 'cart', session)).toEqual({ namespace: 'shop', name: 'cart' })
  expect(await namedPod('<name>', 'pay/cart', session)).toEqual({ namespace: 'pay', name: 'cart' })
})

test.for(['', '/', 'pay/', '/cart', 'a/b/c'])('%j names no pod', async (text) => {
  await expect(namedPod('--pod', text, session)).rejects.toMatchObject({
    code: 'config_invalid',
    message: `--pod ${text}: write the name of a pod, or namespace/name`,
  })
})

test.for(['Cart', 'shop/cart_1', '-cart'])('%s is no name that Kubernetes allows', async (text) => {
  await expect(namedPod('--pod', text, session)).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(/^--pod .*no lower-case name/) as string,
  })
})
