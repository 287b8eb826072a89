import { generateKeyPairSync } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../base/run.ts'
import { ADMIN_KUBECONFIG, API_SERVER_URL, CA_FILE, NETWORK, NODES, PKI_DIR } from '../layout.ts'

/** Who a client certificate names: RBAC's user and group, and the names a serving certificate is for. */
interface Identity {
  file: string
  user: string
  group?: string
  altNames?: readonly string[]
}

const API_SERVER_NAMES = [
  'DNS:kubernetes',
  'DNS:kubernetes.default',
  'DNS:kubernetes.default.svc',
  'DNS:kubernetes.default.svc.cluster.local',
  'DNS:localhost',
  'IP:127.0.0.1',
  `IP:${NETWORK.controlPlane}`,
  `IP:${NETWORK.kubernetesService}`,
]

const IDENTITIES: readonly Identity[] = [
  { file: 'apiserver', user: 'kube-apiserver', altNames: API_SERVER_NAMES },
  { file: 'apiserver-kubelet', user: 'kube-apiserver-kubelet', group: 'system:masters' },
  { file: 'admin', user: 'admin', group: 'system:masters' },
  { file: 'controller-manager', user: 'system:kube-controller-manager' },
  { file: 'scheduler', user: 'system:kube-scheduler' },
  { file: 'kube-proxy', user: 'system:kube-proxy' },
  { file: 'coredns', user: 'system:coredns' },
  ...NODES.map(({ name, ip }) => ({
    file: name,
    user: `system:node:${name}`,
    group: 'system:nodes',
    altNames: [`DNS:${name}`, `IP:${ip}`],
  })),
]

export const pkiFile = (name: string): string => join(PKI_DIR, name)
export const kubeconfigFile = (name: string): string => pkiFile(`${name}.kubeconfig`)

/** Makes the cluster's CA, a certificate and a kubeconfig for each component, and the key that signs ServiceAccount tokens. */
export async function createPki(): Promise<void> {
  await mkdir(PKI_DIR, { recursive: true, mode: 0o700 })
  await certificate(
    'ca',
    '/CN=test-cluster-ca',
    ['basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign,cRLSign'],
    [],
  )
  await Promise.all([
    ...IDENTITIES.map(issue),
    ...IDENTITIES.map(({ file }) => writeKubeconfig(file)),
    createServiceAccountKey(),
  ])
}

async function issue({ file, user, group, altNames = [] }: Identity): Promise<void> {
  const extensions = [
    'basicConstraints = critical,CA:FALSE',
    'keyUsage = critical,digitalSignature',
    'extendedKeyUsage = clientAuth,serverAuth',
    ...(altNames.length > 0 ? [`subjectAltName = ${altNames.join(',')}`] : []),
  ]
  const subject = `${group === undefined ? '' : `/O=${group}`}/CN=${user}`
  await certificate(file, subject, extensions, ['-CA', CA_FILE, '-CAkey', pkiFile('ca.key')])
}

async function certificate(
  file: string,
  subject: string,
  extensions: readonly string[],
  issuer: readonly string[],
): Promise<void> {
  const config = pkiFile(`${file}.cnf`)
  const lines = ['[req]', 'distinguished_name = dn', 'x509_extensions = ext', '[dn]', '[ext]', ...extensions]
  await writeFile(config, lines.join('\n'))
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'.split(' ')
  const files = ['-config', config, '-keyout', pkiFile(`${file}.key`), '-out', pkiFile(`${file}.crt`)]
  await run('openssl', ['req', '-x509', '-days', '30', ...key, ...files, '-subj', subject, ...issuer])
  await rm(config)
}

async function writeKubeconfig(file: string): Promise<void> {
  // JSON is YAML.
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: API_SERVER_URL, 'certificate-authority': CA_FILE } }],
    users: [
      { name: file, user: { 'client-certificate': pkiFile(`${file}.crt`), 'client-key': pkiFile(`${file}.key`) } },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user: file } }],
    'current-context': 'test',
  }
  const path = file === 'admin' ? ADMIN_KUBECONFIG : kubeconfigFile(file)
  await writeFile(path, JSON.stringify(config, null, 2), { mode: 0o600 })
}

async function createServiceAccountKey(): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  await writeFile(pkiFile('service-accounts.key'), privateKey, { mode: 0o600 })
  await writeFile(pkiFile('service-accounts.pub'), publicKey)
}
