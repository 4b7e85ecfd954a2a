/** The peers of one kind that have a stream to this scheduler, by key: the newest session of a key counts. */
export interface ConnectedPeer {
  readonly session: { readonly end: () => void }
}

interface Closing {
  readonly on: (event: 'close', listener: () => void) => unknown
}

export class PeerTable<K, P extends ConnectedPeer> extends Map<K, P> {
  /** Ends the session that had this key. `onGone`: the stream of this one is closed, and no newer one has taken over. */
  enter(key: K, peer: P, stream: Closing, onGone: () => void): void {
    this.get(key)?.session.end()
    this.set(key, peer)
    stream.on('close', () => {
      if (this.get(key) !== peer) return
      this.delete(key)
      onGone()
    })
  }

  /** All sessions; nobody hears of it. */
  end(): void {
    for (const { session } of this.values()) session.end()
    this.clear()
  }
}
