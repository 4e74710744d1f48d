/**
 * What the HTTP layer is given: the world behind it, and the limits at its door.
 */
import type { IncomingMessage } from 'node:http'
import type { Caller } from '../access/index.js'
import type { JsonObject } from '../fhir/index.js'
import type { Context, Origin } from '../interactions/index.js'
import type { Operation } from '../operations/index.js'
import type { Admit } from './admission.js'
import type { Report } from './errors.js'

export type Service = {
  /** Who asks; at once where that is known already. @throws FhirError unauthenticated */
  identify(request: IncomingMessage): Caller | Promise<Caller>
  /** The context of one request of a caller now; with the search parameters that are in force. */
  context(caller: Caller, request: IncomingMessage, origin: Origin | undefined): Context
  /** The request as the audit log names it; undefined where nothing is recorded. */
  origin(request: IncomingMessage): Origin | undefined
  operations: readonly Operation[]
  software: { name: string; version: string }
  /** When the server was started, as a dateTime. */
  started: string
  limits: Limits
  compress: boolean
  /** CapabilityStatement.rest.security, where there is an authorization server. */
  security?: JsonObject
  /** Whether web pages of an origin may call. */
  allowsOrigin(origin: string): boolean
  /** Whether clients reach us by https:, and are told to keep to it. */
  secure: boolean
  /** Asked before anything is done for a caller; undefined is somebody who was not identified. */
  admit: Admit
  /** Whether there is more to do than can be done. */
  isOverloaded(): boolean
  /** Told of errors nobody expected. */
  report: Report
  /** Told of every request that was answered. */
  observe(done: Done): void
}

export type Limits = { bodyMax: number; urlMax: number; parametersMax: number }

/** For metrics and the log: nothing of a patient in it. */
export type Done = { interaction: string; type: string | undefined; status: number; milliseconds: number }
