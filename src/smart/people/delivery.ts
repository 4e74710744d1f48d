/**
 * Messages to people: codes and invitations, by e-mail or SMS.
 *
 * A message says nothing of an illness, a clinic or the name of a service: phones are shared and screens are seen.
 */
import { createHmac } from 'node:crypto'
import { createTransport } from 'nodemailer'
import type { Contact } from './contact.js'

export type Message = { to: Contact; subject: string; text: string }

/** Rejects when the message was not taken over by whoever delivers it. */
export type Deliver = (message: Message) => Promise<void>

/** Prints messages for who tries the server out; not into the log. */
export const consoleDelivery =
  (print: (text: string) => void = (text) => process.stdout.write(text)): Deliver =>
  async ({ to, text }) =>
    print(`\n  To ${to.to}: ${text}\n\n`)

/** https://nodemailer.com/smtp/ */
export function smtpDelivery(url: string, from: string): Deliver {
  const transport = createTransport(url, { from })
  return async ({ to, subject, text }) => {
    if (to.kind !== 'email') throw new Error('SMTP carries no SMS')
    // As an object: a string would be read as a list of addresses.
    await transport.sendMail({
      to: { name: '', address: to.to },
      subject,
      text,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  }
}

/** Posts a body and resolves with the status; the guarded client of the server. */
export type Send = (url: string, body: string, headers: Record<string, string>) => Promise<{ status: number }>

/**
 * Posts `{ kind, to, subject, text }` with `Signature: t=SECONDS, v1=HEX`: HMAC-SHA-256 of `SECONDS.BODY`, so that the
 * receiver can tell that it is ours and of now.
 */
export const webhookDelivery =
  ({ url, key, send, clock = Date.now }: { url: string; key: string; send: Send; clock?: () => number }): Deliver =>
  async ({ to, subject, text }) => {
    const body = JSON.stringify({ kind: to.kind, to: to.to, subject, text })
    const seconds = Math.floor(clock() / 1000)
    const signature = createHmac('sha256', key).update(`${seconds}.${body}`).digest('hex')
    const headers = { 'Content-Type': 'application/json', Signature: `t=${seconds}, v1=${signature}` }
    const { status } = await send(url, body, headers)
    if (status < 200 || status > 299) throw new Error(`the receiver of messages answered ${status}`)
  }

/** By kind of contact; a kind nobody delivers is an error of the setting, told to who operates the server. */
export const deliveryBy =
  (kinds: Partial<Record<Contact['kind'], Deliver>>): Deliver =>
  async (message) => {
    const deliver = kinds[message.to.kind]
    if (!deliver) throw new Error(`no delivery is set up for ${message.to.kind}`)
    await deliver(message)
  }
