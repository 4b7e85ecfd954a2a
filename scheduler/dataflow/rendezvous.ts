/** Who of several reads a unit: the one with the highest draw. A member that comes or goes moves its own share only. Pure. */
import { createHash } from 'node:crypto'

/** The same for the same names everywhere, in whatever order they are given; undefined: nobody is there. */
export function chooseMember(unit: string, members: Iterable<string>): string | undefined {
  let chosen: { readonly member: string; readonly draw: number } | undefined
  for (const member of members) {
    const draw = drawOf(unit, member)
    const isHigher = chosen === undefined || draw > chosen.draw || (draw === chosen.draw && member < chosen.member)
    if (isHigher) chosen = { member, draw }
  }
  return chosen?.member
}

/** 48 bits; a NUL is in no name. */
const drawOf = (unit: string, member: string): number =>
  createHash('sha1').update(`${member}\0${unit}`).digest().readUIntBE(0, 6)
