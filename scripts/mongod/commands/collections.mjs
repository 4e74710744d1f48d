/**
 * Collections, databases and indexes: made, listed and dropped.
 *
 * https://www.mongodb.com/docs/manual/reference/command/nav-administration/
 */
import { Long } from 'bson'
import { isPlain, numberOf } from '../bson.mjs'
import { CommandError, refuse, unsupported } from '../errors.mjs'
import { parseFilter } from '../filter.mjs'
import { checkedSpecification, sameSpecification } from '../index.mjs'
import { matcher } from '../match.mjs'
import { addIndex, Collection, checkNamespace } from '../store.mjs'
import { nonNegative, refuseCollation } from './reads.mjs'

const INDEXES_MAX = 64

const CREATE_FIELDS = [
  'capped',
  'size',
  'max',
  'validator',
  'validationLevel',
  'validationAction',
  'collation',
  'timeseries',
  'viewOn',
  'pipeline',
  'clusteredIndex',
  'expireAfterSeconds',
  'changeStreamPreAndPostImages',
  'storageEngine',
  'indexOptionDefaults',
  'autoIndexId',
]

const nameOf = (namespace) => namespace.slice(namespace.indexOf('.') + 1)

/** Rows as a cursor over a pseudo-collection answers them. */
function rows(context, list, name, body) {
  return context.server.cursors.first(list[Symbol.iterator](), {
    namespace: `${context.database}.${name}`,
    batchSize: nonNegative(body.cursor?.batchSize, 'batchSize') ?? Number.POSITIVE_INFINITY,
    session: context.sessionKey,
  })
}

function changed(context, change) {
  context.store.committed([change])
}

function drop(context, namespace) {
  const { store, server } = context
  store.main.collections.delete(namespace)
  server.cursors.drop(namespace)
  changed(context, { kind: 'drop', namespace })
}

/** One index, where it is not there already. */
function createIndex(context, namespace, given) {
  const { main } = context.store
  const specification = checkedSpecification(given)
  const existing = main.get(namespace)?.indexes ?? []
  for (const index of existing) {
    const sameName = index.name === specification.name
    if (sameSpecification(index.specification, specification)) return false
    if (sameName) {
      const sameKey =
        JSON.stringify(Object.entries(index.specification.key)) === JSON.stringify(Object.entries(specification.key))
      if (sameKey)
        refuse(
          85,
          `An equivalent index already exists with the same name but different options. Requested index: ${JSON.stringify(specification)}`,
        )
      refuse(
        86,
        `An existing index has the same name as the requested index. Requested index: ${JSON.stringify(specification)}`,
      )
    }
    if (sameSpecification({ ...index.specification, name: '' }, { ...specification, name: '' }))
      refuse(85, `Index already exists with a different name: ${index.name}`)
  }
  if (existing.length >= INDEXES_MAX)
    refuse(67, `add index fails, too many indexes for ${namespace} key:${JSON.stringify(specification.key)}`)
  try {
    addIndex(main, namespace, specification)
  } catch (error) {
    if (error instanceof CommandError && error.code === 11000)
      throw new CommandError(
        error.code,
        `Index build failed: Collection ${namespace} :: caused by :: ${error.message}`,
        error.more,
      )
    throw error
  }
  changed(context, { kind: 'createIndexes', namespace })
  return true
}

const findNamespace = (context, name) => {
  const namespace = context.namespace(name)
  if (!context.store.main.get(namespace)) refuse(26, `ns does not exist: ${namespace}`)
  return namespace
}

const dropIndexes = {
  fields: ['index'],
  writes: true,
  run(context, body) {
    const namespace = context.namespace(body.dropIndexes ?? body.deleteIndexes)
    return context.exclusively(namespace, () => {
      if (!context.store.main.get(namespace)) refuse(26, `ns not found ${namespace}`)
      const collection = context.store.main.writable(namespace)
      const before = collection.indexes.length
      const wanted = [body.index].flat()
      const gone = new Set()
      for (const one of wanted) {
        if (one === '*') for (const { name } of collection.indexes.slice(1)) gone.add(name)
        else {
          const found =
            typeof one === 'string'
              ? collection.index(one)
              : collection.indexes.find(({ specification }) =>
                  sameSpecification({ key: specification.key }, { key: one }),
                )
          if (!found)
            refuse(
              27,
              typeof one === 'string'
                ? `index not found with name [${one}]`
                : `can't find index with key: ${JSON.stringify(one)}`,
            )
          if (found.name === '_id_') refuse(72, 'cannot drop _id index')
          gone.add(found.name)
        }
      }
      collection.indexes = collection.indexes.filter(({ name }) => !gone.has(name))
      collection.catalog++
      changed(context, { kind: 'dropIndexes', namespace })
      return { nIndexesWas: before }
    })
  },
}

function refuseModerate({ validationLevel }) {
  if (validationLevel === 'moderate') unsupported('the validation level moderate')
}

/** Bytes of a collection and its indexes; those of an index are the bytes of its keys. */
export function sizesOf(collection) {
  const indexSizes = {}
  for (const index of collection.indexes) {
    let bytes = 0
    for (const [key] of index.tree.entries()) bytes += key.length
    indexSizes[index.name] = bytes
  }
  const totalIndexSize = Object.values(indexSizes).reduce((sum, bytes) => sum + bytes, 0)
  return {
    count: collection.records.size,
    size: collection.bytes,
    avgObjSize: collection.records.size > 0 ? collection.bytes / collection.records.size : 0,
    storageSize: collection.bytes,
    nindexes: collection.indexes.length,
    totalIndexSize,
    totalSize: collection.bytes + totalIndexSize,
    indexSizes,
  }
}

const EMPTY_SIZES = { count: 0, size: 0, storageSize: 0, nindexes: 0, totalIndexSize: 0, totalSize: 0, indexSizes: {} }

export const collections = {
  create: {
    fields: CREATE_FIELDS,
    writes: true,
    inTransaction: 'catalog',
    run(context, body) {
      const namespace = context.namespace(body.create)
      checkNamespace(namespace)
      refuseCollation(body.collation)
      for (const option of [
        'timeseries',
        'viewOn',
        'pipeline',
        'clusteredIndex',
        'expireAfterSeconds',
        'changeStreamPreAndPostImages',
        'storageEngine',
      ])
        if (body[option] !== undefined) unsupported(`the option ${option} of create`)
      const options = Object.fromEntries(
        CREATE_FIELDS.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]),
      )
      refuseModerate(body)
      return context.exclusively(namespace, () => {
        if (context.store.main.get(namespace)) refuse(48, `Collection already exists. NS: ${namespace}`)
        context.store.main.collections.set(namespace, new Collection(namespace, options))
        changed(context, { kind: 'create', namespace })
        return {}
      })
    },
  },

  drop: {
    fields: [],
    writes: true,
    run(context, body) {
      const namespace = context.namespace(body.drop)
      return context.exclusively(namespace, () => {
        const collection = context.store.main.get(namespace)
        if (!collection) refuse(26, 'ns not found')
        drop(context, namespace)
        return { nIndexesWas: collection.indexes.length, ns: namespace }
      })
    },
  },

  dropDatabase: {
    fields: [],
    writes: true,
    async run(context) {
      const prefix = `${context.database}.`
      let dropped = 0
      for (const namespace of [...context.store.main.collections.keys()]) {
        if (!namespace.startsWith(prefix)) continue
        await context.exclusively(namespace, () => drop(context, namespace))
        dropped++
      }
      if (dropped > 0) changed(context, { kind: 'dropDatabase', namespace: prefix })
      return dropped > 0 ? { dropped: context.database } : {}
    },
  },

  renameCollection: {
    fields: ['to', 'dropTarget'],
    writes: true,
    admin: true,
    run(context, body) {
      const { main } = context.store
      const [from, to] = [body.renameCollection, body.to]
      if (typeof from !== 'string' || typeof to !== 'string') refuse(14, 'renameCollection takes two namespaces')
      checkNamespace(to)
      return context.exclusively(from, () => {
        const collection = main.writable(from)
        if (!collection) refuse(26, `Source collection ${from} does not exist`)
        if (main.get(to) && body.dropTarget !== true) refuse(48, 'target namespace exists')
        if (main.get(to)) drop(context, to)
        main.collections.delete(from)
        main.collections.set(to, Object.assign(collection, { namespace: to, catalog: collection.catalog + 1 }))
        context.server.cursors.drop(from)
        changed(context, { kind: 'rename', namespace: from, to })
        return {}
      })
    },
  },

  collMod: {
    fields: ['validator', 'validationLevel', 'validationAction', 'index'],
    writes: true,
    run(context, body) {
      const namespace = findNamespace(context, body.collMod)
      refuseModerate(body)
      return context.exclusively(namespace, () => {
        const collection = context.store.main.writable(namespace)
        if (body.index !== undefined) {
          const { name, expireAfterSeconds, hidden, ...rest } = body.index
          if (Object.keys(rest).length > 0) unsupported('this change of an index by collMod')
          const index = collection.index(name)
          if (!index) refuse(27, `cannot find index ${name} for ns ${namespace}`)
          index.specification = {
            ...index.specification,
            ...(expireAfterSeconds === undefined ? {} : { expireAfterSeconds }),
            ...(hidden === undefined ? {} : { hidden }),
          }
        }
        const options = { ...collection.options }
        for (const name of ['validator', 'validationLevel', 'validationAction'])
          if (body[name] !== undefined) options[name] = body[name]
        collection.options = options
        collection.validator = options.validator ? matcher(parseFilter(options.validator)) : undefined
        collection.catalog++
        changed(context, { kind: 'collMod', namespace })
        return {}
      })
    },
  },

  listCollections: {
    fields: ['filter', 'nameOnly', 'authorizedCollections', 'cursor'],
    run(context, body) {
      const prefix = `${context.database}.`
      const test = matcher(parseFilter(body.filter ?? {}))
      const list = []
      for (const [namespace, collection] of context.store.main.collections) {
        if (!namespace.startsWith(prefix)) continue
        const name = nameOf(namespace)
        const row = {
          name,
          type: 'collection',
          options: collection.options,
          info: { readOnly: false, uuid: collection.shared.uuid },
          idIndex: collection.indexes[0].specification,
        }
        if (test(row)) list.push(body.nameOnly ? { name, type: 'collection' } : row)
      }
      return rows(context, list, '$cmd.listCollections', body)
    },
  },

  createIndexes: {
    fields: ['indexes', 'commitQuorum', 'ignoreUnknownIndexOptions'],
    writes: true,
    inTransaction: 'catalog',
    run(context, body) {
      const namespace = context.namespace(body.createIndexes)
      if (!Array.isArray(body.indexes) || body.indexes.length === 0)
        refuse(2, 'Must specify at least one index to create')
      for (const one of body.indexes) if (!isPlain(one)) refuse(14, 'The elements of the indexes array must be objects')
      return context.exclusively(namespace, () => {
        const { main } = context.store
        for (const one of body.indexes) checkedSpecification(one)
        const createdCollectionAutomatically = main.get(namespace) === undefined
        if (createdCollectionAutomatically) {
          checkNamespace(namespace)
          main.collections.set(namespace, new Collection(namespace))
          changed(context, { kind: 'create', namespace })
        }
        const numIndexesBefore = main.get(namespace).indexes.length
        const made = body.indexes.filter((one) => createIndex(context, namespace, one))
        return {
          numIndexesBefore,
          numIndexesAfter: main.get(namespace).indexes.length,
          createdCollectionAutomatically,
          ...(made.length === 0 ? { note: 'all indexes already exist' } : {}),
          commitQuorum: 'votingMembers',
        }
      })
    },
  },

  listIndexes: {
    fields: ['cursor', 'includeBuildUUIDs', 'includeIndexBuildInfo'],
    run(context, body) {
      const namespace = findNamespace(context, body.listIndexes)
      const list = context.store.main.get(namespace).indexes.map(({ specification }) => specification)
      return rows(context, list, nameOf(namespace), body)
    },
  },

  dropIndexes,
  deleteIndexes: dropIndexes,

  collStats: {
    fields: ['scale'],
    run(context, body) {
      const namespace = context.namespace(body.collStats)
      const scale = numberOf(body.scale) ?? 1
      if (scale !== 1) unsupported('a scale of collStats')
      const collection = context.store.main.get(namespace)
      return { ns: namespace, ...(collection ? sizesOf(collection) : EMPTY_SIZES), scaleFactor: scale }
    },
  },

  dbStats: {
    fields: ['scale', 'freeStorage'],
    run(context) {
      const prefix = `${context.database}.`
      const all = [...context.store.main.collections]
        .filter(([namespace]) => namespace.startsWith(prefix))
        .map(([, collection]) => sizesOf(collection))
      const sum = (name) => all.reduce((total, sizes) => total + sizes[name], 0)
      return {
        db: context.database,
        collections: Long.fromNumber(all.length),
        objects: Long.fromNumber(sum('count')),
        dataSize: sum('size'),
        storageSize: sum('storageSize'),
        indexes: Long.fromNumber(sum('nindexes')),
        indexSize: sum('totalIndexSize'),
        totalSize: sum('totalSize'),
        scaleFactor: 1,
      }
    },
  },
}
