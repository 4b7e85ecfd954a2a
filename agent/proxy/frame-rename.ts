/**
 * Renames every message of a gRPC stream as it passes, without keeping it: in protobuf the last value of a field wins, so
 * the new name and an empty version go behind each message, and its frame says that it is longer. As rename-grpc.wasm.
 */
import { Transform } from 'node:stream'
import { ServingError } from '../../kit/errors.ts'

const FRAME_BYTES = 5
const FIELD_NAME = 0x0a
const FIELD_VERSION = 0x12
const MAX_LENGTH = 0xffff_ffff

export interface FrameRenamer {
  /** What goes on for what came, in order. @throws ServingError UNIMPLEMENTED, REQUEST_TOO_LARGE */
  readonly push: (chunk: Buffer) => readonly Buffer[]
}

/** `internalName` of at most 127 bytes: one byte holds its length. */
export function createFrameRenamer(internalName: string): FrameRenamer {
  const name = Buffer.from(internalName)
  const suffix = Buffer.concat([Buffer.from([FIELD_NAME, name.byteLength]), name, Buffer.from([FIELD_VERSION, 0])])
  let frame = Buffer.alloc(FRAME_BYTES)
  let frameSize = 0
  let left = 0

  /** The frame is complete: the same, longer. */
  function lengthened(): Buffer {
    if (frame[0] !== 0)
      throw new ServingError(
        'UNIMPLEMENTED',
        'this model cannot be called with compressed messages: send them uncompressed',
      )
    left = frame.readUInt32BE(1)
    if (left > MAX_LENGTH - suffix.byteLength)
      throw new ServingError('REQUEST_TOO_LARGE', `a message of ${String(left)} bytes cannot be renamed`)
    const longer = frame
    longer.writeUInt32BE(left + suffix.byteLength, 1)
    frame = Buffer.alloc(FRAME_BYTES)
    return longer
  }

  return {
    push: (chunk) => {
      const out: Buffer[] = []
      for (let at = 0; at < chunk.byteLength;) {
        if (frameSize < FRAME_BYTES) {
          const copied = chunk.copy(frame, frameSize, at, at + FRAME_BYTES - frameSize)
          frameSize += copied
          at += copied
          if (frameSize < FRAME_BYTES) return out
          out.push(lengthened())
        }
        const taken = Math.min(left, chunk.byteLength - at)
        if (taken > 0) out.push(chunk.subarray(at, at + taken))
        at += taken
        left -= taken
        if (left > 0) return out
        out.push(suffix)
        frameSize = 0
      }
      return out
    },
  }
}

/** The same as a stream. */
export function createRenameStream(internalName: string): Transform {
  const renamer = createFrameRenamer(internalName)
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        for (const part of renamer.push(chunk)) this.push(part)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
}
