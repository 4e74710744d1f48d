/**
 * A TLS server on loopback for tests, by a certificate that nobody else trusts.
 */
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/** For localhost, 127.0.0.1, ::1, hospital.test and the names below it. */
export const certificate = `
-----BEGIN CERTIFICATE-----
MIIBzzCCAXWgAwIBAgIUIZnwGDosud2NKm0D8ZVro7MPZq0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDE4MDYzMVoYDzIxMjYxMDMx
MTgwNjMxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARpyJBZsZETrjLVEN/AbmBk648jsoFTCGC99DPjxNxzgZFIkjFIgvBP
6u2jIeVKwubWph3P4iVkZ4gbdRlkKcnPo4GiMIGfMB0GA1UdDgQWBBSwPb7wGGCC
t69CKFK+GXeUaTgN7TAfBgNVHSMEGDAWgBSwPb7wGGCCt69CKFK+GXeUaTgN7TAP
BgNVHRMBAf8EBTADAQH/MEwGA1UdEQRFMEOCCWxvY2FsaG9zdIINaG9zcGl0YWwu
dGVzdIIPKi5ob3NwaXRhbC50ZXN0hwR/AAABhxAAAAAAAAAAAAAAAAAAAAABMAoG
CCqGSM49BAMCA0gAMEUCIQDlenLdkcFpaUgz8E9/1zo0ZQN/IGvmAMyxDLJBDffB
vQIgQt+AfNaWuLaJszSV4JqCDf9AqCmZ3G1bEjev/Rjjt2I=
-----END CERTIFICATE-----
`

export const key = `
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgusQTTqTTDx9cWKfr
aNkpPkjIEnUAPuDcRggbD/zcTvGhRANCAARpyJBZsZETrjLVEN/AbmBk648jsoFT
CGC99DPjxNxzgZFIkjFIgvBP6u2jIeVKwubWph3P4iVkZ4gbdRlkKcnP
-----END PRIVATE KEY-----
`

export type TlsServer = { port: number; close(): Promise<void> }

export async function startTlsServer(answer: RequestListener): Promise<TlsServer> {
  const server = createServer({ cert: certificate, key }, answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
