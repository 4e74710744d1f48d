/**
 * Run by mongosh, once: the replica set, and the server's user, who may read and write its own database and nothing else.
 *
 * https://www.mongodb.com/docs/manual/core/localhost-exception/
 */
const { ADMIN_PASSWORD, STORE_PASSWORD } = process.env
const members = ['mongo1', 'mongo2', 'mongo3']

if (!db.hello().setName)
  rs.initiate({ _id: 'rs0', members: members.map((host, _id) => ({ _id, host: `${host}:27017`, priority: 3 - _id })) })
while (!db.hello().primary) sleep(500)

// The first member may have lost the first election: the rest is the primary's.
const primary = db.hello().isWritablePrimary ? db : connect(`mongodb://${db.hello().primary}/?directConnection=true`)
const admin = primary.getSiblingDB('admin')
try {
  admin.auth('admin', ADMIN_PASSWORD)
} catch {
  admin.createUser({ user: 'admin', pwd: ADMIN_PASSWORD, roles: ['root'] })
  admin.auth('admin', ADMIN_PASSWORD)
}
const store = primary.getSiblingDB('hospitallink')
const roles = [{ role: 'readWrite', db: 'hospitallink' }]
if (store.getUser('hospitallink')) store.updateUser('hospitallink', { pwd: STORE_PASSWORD, roles })
else store.createUser({ user: 'hospitallink', pwd: STORE_PASSWORD, roles })
print('the replica set and the user of the server are there')
