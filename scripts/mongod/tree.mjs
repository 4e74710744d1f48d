/**
 * An ordered map as a B+ tree whose snapshots cost nothing: nodes are changed in place only by the one who made them.
 *
 * Every writer brings its owner token. A node with another token is copied before it is changed, so whoever kept the old
 * root goes on seeing what it saw: that is all there is to a transaction's snapshot.
 */

const CAPACITY = 64

class Node {
  constructor(owner, keys, values, leaf) {
    this.owner = owner
    this.keys = keys
    /** values of a leaf, children of an inner node; an inner node's keys[i] is the least key below child i + 1 */
    this.values = values
    this.leaf = leaf
  }

  copy(owner) {
    return new Node(owner, this.keys.slice(), this.values.slice(), this.leaf)
  }
}

/** How many of the sorted keys are less than the key. */
function below(keys, key) {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle] < key) low = middle + 1
    else high = middle
  }
  return low
}

/** How many of the sorted keys are less than or equal to the key. */
function upTo(keys, key) {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle] <= key) low = middle + 1
    else high = middle
  }
  return low
}

export class Tree {
  constructor(root = new Node(null, [], [], true), size = 0) {
    this.root = root
    this.size = size
  }

  /** The same content; neither sees what the other changes, as long as their owners differ. */
  clone() {
    return new Tree(this.root, this.size)
  }

  get(key) {
    let node = this.root
    while (!node.leaf) node = node.values[upTo(node.keys, key)]
    const at = below(node.keys, key)
    return at < node.keys.length && node.keys[at] === key ? node.values[at] : undefined
  }

  set(key, value, owner) {
    if (this.root.owner !== owner) this.root = this.root.copy(owner)
    const split = this.#set(this.root, key, value, owner)
    if (split) this.root = new Node(owner, [split.key], [this.root, split.node], false)
  }

  #set(node, key, value, owner) {
    if (node.leaf) {
      const at = below(node.keys, key)
      if (at < node.keys.length && node.keys[at] === key) {
        node.values[at] = value
        return undefined
      }
      this.size++
      if (at === node.keys.length) {
        node.keys.push(key)
        node.values.push(value)
      } else {
        node.keys.splice(at, 0, key)
        node.values.splice(at, 0, value)
      }
      if (node.keys.length <= CAPACITY) return undefined
      // Keys that come in order fill their leaves instead of leaving them half empty.
      const half = at === node.keys.length - 1 ? CAPACITY - 4 : CAPACITY >>> 1
      const right = new Node(owner, node.keys.splice(half), node.values.splice(half), true)
      return { key: right.keys[0], node: right }
    }
    const at = upTo(node.keys, key)
    let child = node.values[at]
    if (child.owner !== owner) {
      child = child.copy(owner)
      node.values[at] = child
    }
    const split = this.#set(child, key, value, owner)
    if (!split) return undefined
    node.keys.splice(at, 0, split.key)
    node.values.splice(at + 1, 0, split.node)
    if (node.values.length <= CAPACITY) return undefined
    const half = CAPACITY >>> 1
    const right = new Node(owner, node.keys.splice(half + 1), node.values.splice(half + 1), false)
    return { key: node.keys.pop(), node: right }
  }

  delete(key, owner) {
    if (this.get(key) === undefined) return false
    if (this.root.owner !== owner) this.root = this.root.copy(owner)
    this.#delete(this.root, key, owner)
    while (!this.root.leaf && this.root.values.length === 1) this.root = this.root.values[0]
    if (!this.root.leaf && this.root.values.length === 0) this.root = new Node(owner, [], [], true)
    this.size--
    return true
  }

  #delete(node, key, owner) {
    if (node.leaf) {
      const at = below(node.keys, key)
      node.keys.splice(at, 1)
      node.values.splice(at, 1)
      return
    }
    const at = upTo(node.keys, key)
    let child = node.values[at]
    if (child.owner !== owner) {
      child = child.copy(owner)
      node.values[at] = child
    }
    this.#delete(child, key, owner)
    // Empty nodes go; half-empty ones stay, which costs a little room and no correctness.
    if (child.values.length > 0) return
    node.values.splice(at, 1)
    node.keys.splice(Math.max(0, at - 1), 1)
  }

  /** A walk over the entries with from <= key < to, forwards or backwards. */
  range(from, to, backwards = false) {
    return new Walk(this.root, from, to, backwards)
  }

  /** The first key at or after the given one. */
  firstFrom(from) {
    const walk = new Walk(this.root, from, undefined, false)
    return walk.next() ? walk.key : undefined
  }

  *entries() {
    const walk = new Walk(this.root, undefined, undefined, false)
    while (walk.next()) yield [walk.key, walk.value]
  }
}

/** Stands before its first entry; each `next` moves on and says whether there is one. */
class Walk {
  constructor(root, from, to, backwards) {
    this.root = root
    this.from = from
    this.to = to
    this.backwards = backwards
    this.key = undefined
    this.value = undefined
    /** the key at which the walk ended, if it was not the last of all */
    this.beyond = undefined
    this.path = []
    this.places = []
    if (backwards) this.#down(root, to, true)
    else this.#down(root, from, false)
  }

  /** Goes to the leaf where the bound lies; the place is the entry to be read next. */
  #down(root, bound, backwards) {
    let node = root
    this.path.length = 0
    this.places.length = 0
    while (!node.leaf) {
      const at = bound === undefined ? (backwards ? node.values.length - 1 : 0) : upTo(node.keys, bound)
      this.path.push(node)
      this.places.push(at)
      node = node.values[at]
    }
    this.leaf = node
    const at = bound === undefined ? (backwards ? node.keys.length : 0) : below(node.keys, bound)
    this.at = backwards ? at - 1 : at
  }

  next() {
    for (;;) {
      if (this.at >= 0 && this.at < this.leaf.keys.length) {
        const key = this.leaf.keys[this.at]
        if (this.backwards ? this.from !== undefined && key < this.from : this.to !== undefined && key >= this.to) {
          this.beyond = key
          return false
        }
        this.key = key
        this.value = this.leaf.values[this.at]
        this.at += this.backwards ? -1 : 1
        return true
      }
      if (!this.#across()) return false
    }
  }

  #across() {
    const step = this.backwards ? -1 : 1
    for (let level = this.path.length - 1; level >= 0; level--) {
      const at = this.places[level] + step
      if (at < 0 || at >= this.path[level].values.length) continue
      this.path.length = level + 1
      this.places.length = level + 1
      this.places[level] = at
      let node = this.path[level].values[at]
      while (!node.leaf) {
        const inner = this.backwards ? node.values.length - 1 : 0
        this.path.push(node)
        this.places.push(inner)
        node = node.values[inner]
      }
      this.leaf = node
      this.at = this.backwards ? node.keys.length - 1 : 0
      return true
    }
    return false
  }
}
