import { describe, expect, it } from 'vitest'
import { ServingError } from '../../../../kit/errors.ts'
import { parseLabelSelector } from '../../../../scheduler/admin/label-selector.ts'

const LABELS = { team: 'red', tier: '', 'example.com/x': '1' }

describe('a label selector', () => {
  it.each([
    '',
    ' ',
    'team',
    'team=red',
    'team==red',
    'team!=blue',
    'tier=',
    '!absent',
    'absent!=x',
    'example.com/x=1, team',
  ])('takes what has what %j asks for', (text) => {
    expect(parseLabelSelector(text)(LABELS)).toBe(true)
  })

  it.each(['team=blue', '!team', 'absent', 'absent=', 'team!=red', 'team,absent', 'constructor'])(
    'leaves out what has not what %j asks for',
    (text) => {
      expect(parseLabelSelector(text)(LABELS)).toBe(false)
    },
  )

  it('names every part that it does not understand', () => {
    const parse = () => parseLabelSelector('a=b=c,fine,!x=1,,')
    expect(parse).toThrow(ServingError)
    expect(parse).toThrow(/4 problem\(s\).*"a=b=c".*"!x=1"/)
  })
})
