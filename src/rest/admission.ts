/**
 * Whether somebody may ask now: rates for clients, people and strangers.
 *
 * https://datatracker.ietf.org/doc/html/rfc6585#section-4
 */
import type { IncomingMessage } from 'node:http'
import { type AddressOf, type Caller, isPatient, networkOf, Throttle } from '../access/index.js'
import { throttled } from '../fhir/index.js'

/** `caller` undefined: somebody who could not be identified, or need not be. @throws FhirError 429 */
export type Admit = (caller: Caller | undefined, request: IncomingMessage) => void

/** Requests a second; twice as many may come at once. 0 is no limit. */
export type Rates = { client: number; patient: number; address: number }

export const admitAll: Admit = () => {}

export function admission(rates: Rates, addressOf: AddressOf, clock?: () => number): Admit {
  const throttle = new Throttle(clock)
  // The caller of a token is one object as long as the token is remembered; its key is made once.
  const keys = new WeakMap<Caller, string>()
  const take = (key: string, perSecond: number) => {
    if (perSecond === 0) return
    const seconds = throttle.take(key, { perSecond, burst: 2 * perSecond })
    if (seconds > 0)
      throw throttled(`More requests than ${perSecond} a second; go on after ${seconds} s`, undefined, {
        headers: { 'Retry-After': String(seconds) },
      })
  }
  return (caller, request) => {
    if (!caller) take(networkOf(addressOf(request)), rates.address)
    else if (caller.kind === 'person' || caller.kind === 'system')
      take(keyOf(keys, caller), isPatient(caller) ? rates.patient : rates.client)
  }
}

function keyOf(keys: WeakMap<Caller, string>, caller: Caller): string {
  let key = keys.get(caller)
  if (key === undefined) {
    key = `${caller.tenant} ${caller.client} ${caller.subject}`
    keys.set(caller, key)
  }
  return key
}
