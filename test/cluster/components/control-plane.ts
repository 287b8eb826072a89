import { join } from 'node:path'
import { InVain, waitFor } from '../base/wait.ts'
import { API_SERVER_PORT, API_SERVER_URL, CA_FILE, NETWORK, SERVICE_ACCOUNT_ISSUER, STATE_DIR } from '../layout.ts'
import { runIn } from '../machine/namespaces.ts'
import type { ProcessId } from '../machine/process-table.ts'
import { isComponentRunning, logFile, startComponent, stopComponent } from '../machine/processes.ts'
import type { Binaries } from '../tools/build.ts'
import { isApiServerReady } from './api-request.ts'
import { kubeconfigFile, pkiFile } from './pki.ts'

const ETCD_URL = 'http://127.0.0.1:2379'
const API_SERVER = 'kube-apiserver'

export async function startControlPlane(
  binaries: Binaries,
  holder: ProcessId,
  apiServerArgs: readonly string[],
): Promise<void> {
  const placement = { networkOf: holder.pid }
  await startComponent('etcd', binaries('etcd'), etcdArgs(), placement)
  // Started before etcd answered, an API server was once seen to need half a minute more.
  const health = ['wget', '-q', '-O-', `${ETCD_URL}/health`]
  await waitFor('etcd', () => runIn(placement, '/bin/busybox', health), { timeout: 30_000, interval: 50 })
  await startApiServer(binaries, holder, apiServerArgs)
  await startComponent(
    'kube-controller-manager',
    binaries('kube-controller-manager'),
    controllerManagerArgs(),
    placement,
  )
  await startComponent('kube-scheduler', binaries('kube-scheduler'), schedulerArgs(), placement)
}

export async function startApiServer(
  binaries: Binaries,
  holder: ProcessId,
  extraArgs: readonly string[],
): Promise<void> {
  const placement = { networkOf: holder.pid }
  await startComponent(API_SERVER, binaries(API_SERVER), [...apiServerArgs(), ...extraArgs], placement)
  await waitFor('the API server', async () => {
    if (!(await isComponentRunning(API_SERVER))) throw new InVain(`the API server ended: see ${logFile(API_SERVER)}`)
    return isApiServerReady()
  })
}

/** At once, as in a crash: asked politely it takes up to 20 s to go. */
export async function stopApiServer(): Promise<void> {
  await stopComponent(API_SERVER, 0)
}

function etcdArgs(): string[] {
  return [
    `--data-dir=${join(STATE_DIR, 'etcd')}`,
    `--listen-client-urls=${ETCD_URL}`,
    `--advertise-client-urls=${ETCD_URL}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    // What a crash of the machine would lose is thrown away anyway.
    '--unsafe-no-fsync',
  ]
}

function apiServerArgs(): string[] {
  return [
    `--etcd-servers=${ETCD_URL}`,
    '--bind-address=0.0.0.0',
    `--secure-port=${API_SERVER_PORT}`,
    `--advertise-address=${NETWORK.controlPlane}`,
    `--service-cluster-ip-range=${NETWORK.services}`,
    '--allow-privileged=true',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    `--client-ca-file=${CA_FILE}`,
    `--tls-cert-file=${pkiFile('apiserver.crt')}`,
    `--tls-private-key-file=${pkiFile('apiserver.key')}`,
    `--service-account-issuer=${SERVICE_ACCOUNT_ISSUER}`,
    `--service-account-jwks-uri=${API_SERVER_URL}/openid/v1/jwks`,
    `--service-account-key-file=${pkiFile('service-accounts.pub')}`,
    `--service-account-signing-key-file=${pkiFile('service-accounts.key')}`,
    `--kubelet-client-certificate=${pkiFile('apiserver-kubelet.crt')}`,
    `--kubelet-client-key=${pkiFile('apiserver-kubelet.key')}`,
    `--kubelet-certificate-authority=${CA_FILE}`,
    // Else logs and exec look up the node's name, which no DNS knows.
    '--kubelet-preferred-address-types=InternalIP',
  ]
}

function controllerManagerArgs(): string[] {
  return [
    ...clientArgs('controller-manager'),
    `--service-account-private-key-file=${pkiFile('service-accounts.key')}`,
    `--root-ca-file=${CA_FILE}`,
    `--cluster-signing-cert-file=${CA_FILE}`,
    `--cluster-signing-key-file=${pkiFile('ca.key')}`,
    '--use-service-account-credentials=true',
    // Each controller asks for its own ServiceAccount and token first; at the default rate that takes 5 s.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    // It makes this folder, by default in /usr/libexec.
    `--flex-volume-plugin-dir=${join(STATE_DIR, 'flex-volumes')}`,
    '--bind-address=127.0.0.1',
  ]
}

function schedulerArgs(): string[] {
  return [...clientArgs('scheduler'), '--bind-address=127.0.0.1']
}

function clientArgs(file: string): string[] {
  const kubeconfig = kubeconfigFile(file)
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
  ]
}
