import { describe, expect, it } from 'vitest'
import { parseQuantity } from '../../../api/resources/quantity.ts'

describe('quantity', () => {
  it.each([
    ['100Ki', 102_400],
    ['1.5Gi', 1_610_612_736],
    ['334e6', 334_000_000],
    ['1E3', 1_000],
    ['1e3', 1_000],
    ['1G', 1_000_000_000],
    ['2M', 2_000_000],
    ['3k', 3_000],
    ['0.5k', 500],
    ['.5Ki', 512],
    ['5.', 5],
    ['1000m', 1],
    ['2000000u', 2],
    ['+7', 7],
    ['0', 0],
    [1_024, 1_024],
    [334e6, 334_000_000],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['7Pi', 7 * 2 ** 50],
  ])('%s is exactly %d bytes', (quantity, bytes) => {
    expect(parseQuantity(quantity)).toEqual({ kind: 'bytes', bytes })
  })

  it.each([
    ['0.1Gi', 'not a whole number'],
    ['1500m', 'not a whole number'],
    [1.5, 'not a whole number'],
    ['-1', 'negative'],
    ['9007199254740992', 'more than'],
    ['1E', 'more than'],
    ['8Ei', 'more than'],
    ['1e999', 'more than'],
    ['', 'not a quantity'],
    ['.', 'not a quantity'],
    ['Ki', 'not a quantity'],
    ['1 Ki', 'not a quantity'],
    ['1KiB', 'not a quantity'],
    ['1ki', 'not a quantity'],
    ['0x10', 'not a quantity'],
    [Number.NaN, 'not a quantity'],
    [Number.POSITIVE_INFINITY, 'not a quantity'],
    ['1'.repeat(65), 'not a quantity'],
  ])('%s is refused, not rounded', (quantity, reason) => {
    const result = parseQuantity(quantity)
    expect(result.kind === 'invalid' && result.reason).toContain(reason)
  })
})
