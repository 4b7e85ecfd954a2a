/** A map of sets whose empty sets go away. */
export interface Groups<Key, Member> {
  readonly add: (key: Key, member: Member) => void
  readonly remove: (key: Key, member: Member) => void
  readonly get: (key: Key) => ReadonlySet<Member>
  readonly keys: () => IterableIterator<Key>
}

export function createGroups<Key, Member>(): Groups<Key, Member> {
  const groups = new Map<Key, Set<Member>>()
  const none: ReadonlySet<Member> = new Set()
  return {
    add: (key, member) => {
      const group = groups.get(key)
      if (group === undefined) groups.set(key, new Set([member]))
      else group.add(member)
    },
    remove: (key, member) => {
      const group = groups.get(key)
      if (group?.delete(member) === true && group.size === 0) groups.delete(key)
    },
    get: (key) => groups.get(key) ?? none,
    keys: () => groups.keys(),
  }
}
