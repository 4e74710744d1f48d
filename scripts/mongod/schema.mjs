/**
 * Validators by JSON Schema, as far as they are about types and required members.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/
 */
import { field, isPlain, numberOf, typeName } from './bson.mjs'
import { unsupported } from './errors.mjs'

export function satisfies(value, schema) {
  for (const [keyword, rule] of Object.entries(schema)) {
    switch (keyword) {
      case 'title':
      case 'description':
        break
      case 'required':
        if (!isObject(value)) break
        if (!rule.every((name) => field(value, name) !== undefined)) return false
        break
      case 'bsonType': {
        const types = Array.isArray(rule) ? rule : [rule]
        const name = typeName(value)
        if (!types.includes(name) && !(types.includes('number') && numberOf(value) !== undefined)) return false
        break
      }
      case 'properties':
        if (!isObject(value)) break
        for (const [name, inner] of Object.entries(rule)) {
          const member = field(value, name)
          if (member !== undefined && !satisfies(member, inner)) return false
        }
        break
      default:
        unsupported(`the keyword ${keyword} of $jsonSchema`)
    }
  }
  return true
}

const isObject = (value) => isPlain(value) || typeName(value) === 'object'
