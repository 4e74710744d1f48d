import { createHmac } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { SMTPServer } from 'smtp-server'
import { consoleDelivery, deliveryBy, type Message, smtpDelivery, webhookDelivery } from './delivery.js'

const message: Message = {
  to: { kind: 'email', to: 'rose@example.org' },
  subject: 'Your code',
  text: '123456 is your code.',
}
const sms: Message = { ...message, to: { kind: 'sms', to: '+256700000001' } }

describe('SMTP', () => {
  const received: { from: string; to: string[]; text: string }[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo: ({ address }, _session, done) => done(address.startsWith('full@') ? new Error('mailbox full') : null),
    onData: (stream, { envelope }, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const from = envelope.mailFrom ? envelope.mailFrom.address : ''
        received.push({
          from,
          to: envelope.rcptTo.map(({ address }) => address),
          text: Buffer.concat(chunks).toString(),
        })
        done()
      })
    },
  })
  let url: string
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`
  })
  afterAll(() => new Promise<void>((resolve) => server.close(resolve)))

  const deliver = () => smtpDelivery(url, 'Hospital <no-reply@hospital.example>')

  test('a message arrives', async () => {
    await deliver()(message)
    expect(received.at(-1)).toMatchObject({ from: 'no-reply@hospital.example', to: ['rose@example.org'] })
    expect(received.at(-1)!.text).toContain('Subject: Your code')
    expect(received.at(-1)!.text).toContain('123456 is your code.')
  })

  test.each([['rose@example.org, eve@example.org'], ['rose@example.org>\r\nRCPT TO:<eve@example.org']])(
    'an address is one address: %j',
    async (to) => {
      const before = received.length
      await deliver()({ ...message, to: { kind: 'email', to } }).catch(() => {})
      for (const each of received.slice(before)) expect(each.to).not.toContain('eve@example.org')
    },
  )

  test('what the mail server refuses is an error', async () => {
    await expect(deliver()({ ...message, to: { kind: 'email', to: 'full@example.org' } })).rejects.toThrow(/full/)
  })

  test('carries no SMS', async () => {
    await expect(deliver()(sms)).rejects.toThrow(/no SMS/)
  })
})

describe('a webhook', () => {
  const key = 'k'.repeat(32)
  const given: { url: string; body: string; headers: Record<string, string> }[] = []
  const hook = (status: number) =>
    webhookDelivery({
      url: 'https://messages.example/send',
      key,
      clock: () => 1_800_000_000_000,
      send: async (url, body, headers) => {
        given.push({ url, body, headers })
        return { status }
      },
    })

  test('receives what it can prove to be ours, and of now', async () => {
    await hook(202)(sms)
    const { url, body, headers } = given.at(-1)!
    expect(url).toBe('https://messages.example/send')
    expect(JSON.parse(body)).toEqual({
      kind: 'sms',
      to: '+256700000001',
      subject: 'Your code',
      text: '123456 is your code.',
    })
    const expected = createHmac('sha256', key).update(`1800000000.${body}`).digest('hex')
    expect(headers['Signature']).toBe(`t=1800000000, v1=${expected}`)
  })

  test.each([[302], [400], [503]])('that answers %d has not taken the message', async (status) => {
    await expect(hook(status)(message)).rejects.toThrow(String(status))
  })
})

test('the console prints for people', async () => {
  const printed: string[] = []
  await consoleDelivery((text) => printed.push(text))(message)
  expect(printed.join('')).toContain('To rose@example.org: 123456 is your code.')
})

test('a kind nobody delivers is an error that names no recipient', async () => {
  await expect(deliveryBy({ email: async () => {} })(sms)).rejects.toThrow(/^no delivery is set up for sms$/)
})
