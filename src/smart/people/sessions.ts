/**
 * Sessions of browsers: what is known of them is kept by us, and the cookie is but a random name.
 *
 * https://pages.nist.gov/800-63-4/sp800-63b.html#session
 *
 * A session ends when nobody used it for a while and after half a day in any case. It is kept under the hash of its
 * name, so that a copy of the database opens none.
 */
import type { Secrets } from '../../store/index.js'
import { change, readJson } from './change.js'
import { fingerprint, token } from './keyed.js'
import { isPatientRole } from './ranks.js'

export type Session = {
  /** Safe to show and to keep: the cookie cannot be made of it. */
  id: string
  subject: string
  person: string
  /** How and when the person signed in. */
  at: number
  methods: readonly string[]
  since: number
  /** When a page was last used, and when an app last was on behalf of the session. */
  last: number
  lastOfApp?: number
  idleMs: number
  /** Revision of the account at sign-in. */
  revision: number
}

export type SessionLimits = { staffIdleMs: number; patientIdleMs: number; maxMs: number }

export const sessionLimits: SessionLimits = {
  staffIdleMs: 15 * 60_000,
  patientIdleMs: 30 * 60_000,
  maxMs: 12 * 3_600_000,
}

export type Sessions = {
  /** A new session and its cookie; the one of before, if any, ends. */
  begin(
    signedIn: {
      subject: string
      person: string
      role: string
      revision: number
      methods: readonly string[]
      /** When the session began that this one goes on with. */
      since?: number | undefined
    },
    before: string | undefined,
  ): Promise<{ cookie: string; session: Session }>
  /** The session of a cookie, which is used with this. */
  use(cookie: string | undefined): Promise<Session | undefined>
  /** By id, without using it. */
  alive(id: string): Promise<Session | undefined>
  /** Used by an app that was allowed to work while the person is signed in; undefined when that is over. */
  useByApp(id: string): Promise<Session | undefined>
  end(id: string): Promise<Session | undefined>
  ofPerson(person: string): Promise<Session[]>
}

/** Used again within this time, a session is not written again. */
const touchMs = 30_000

/**
 * An app asks for a new token once the old one is over, and is not seen before: it has the life of a token more than pages
 * have. That it is used keeps the session for apps, never for pages.
 */
const tokenMs = 15 * 60_000

/** Nobody signs in on more devices at once; the oldest make room. */
const sessionsMax = 50

const key = (id: string): string => `people/session/${id}`
const ofPersonKey = (person: string, id: string): string => `people/sessions-of/${person}/${id}`

export function sessions(secrets: Secrets, clock: () => number, limits: SessionLimits): Sessions {
  const until = ({ last, idleMs, since }: Session): number => Math.min(last + idleMs, since + limits.maxMs)
  /** Until apps are told that it is over; so long it is kept. */
  const untilForApps = ({ last, lastOfApp = last, idleMs, since }: Session): number =>
    Math.min(Math.max(last, lastOfApp) + idleMs + tokenMs, since + limits.maxMs)
  const alive = async (id: string): Promise<Session | undefined> => {
    const session = await readJson<Session>(secrets, key(id))
    return session && clock() < until(session) ? session : undefined
  }
  const end = async (id: string): Promise<Session | undefined> => {
    const text = await secrets.take(key(id))
    if (text === undefined) return undefined
    const session = JSON.parse(text) as Session
    await secrets.drop(ofPersonKey(session.person, id))
    return session
  }
  const ofPerson = async (person: string): Promise<Session[]> => {
    const prefix = ofPersonKey(person, '')
    const rows = await secrets.list(prefix, 10 * sessionsMax)
    const found = await Promise.all(rows.map(([name]) => alive(name.slice(prefix.length))))
    return found.filter((each) => each !== undefined).sort((a, b) => a.since - b.since)
  }
  return {
    alive,
    end,
    ofPerson,
    begin: async ({ subject, person, role, revision, methods, since }, before) => {
      const now = clock()
      if (before !== undefined) await end(fingerprint(before))
      const others = await ofPerson(person)
      for (const { id } of others.slice(0, Math.max(0, others.length + 1 - sessionsMax))) await end(id)
      const cookie = token()
      const session: Session = {
        id: fingerprint(cookie),
        subject,
        person,
        at: now,
        methods,
        since: since ?? now,
        last: now,
        idleMs: isPatientRole(role) ? limits.patientIdleMs : limits.staffIdleMs,
        revision,
      }
      await secrets.put(key(session.id), JSON.stringify(session), untilForApps(session))
      await secrets.put(ofPersonKey(person, session.id), '', now + limits.maxMs)
      return { cookie, session }
    },
    useByApp: (id) =>
      change<Session, Session | undefined>(secrets, key(id), (was) => {
        const now = clock()
        if (!was || now >= untilForApps(was)) return { answer: undefined }
        const used = { ...was, lastOfApp: now }
        return { now: used, expires: untilForApps(used), answer: used }
      }),
    use: async (cookie) => {
      if (cookie === undefined) return undefined
      const session = await alive(fingerprint(cookie))
      const now = clock()
      if (!session || now - session.last < touchMs) return session
      // Ended meanwhile by another process: then it stays so.
      return change<Session, Session | undefined>(secrets, key(session.id), (was) => {
        const used = was && { ...was, last: Math.max(was.last, now) }
        return used ? { now: used, expires: untilForApps(used), answer: used } : { answer: undefined }
      })
    },
  }
}
