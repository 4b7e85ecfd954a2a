/** The options of a process that the scheduler tells what to do. */
import { Type } from 'typebox'

export const controlOptions = (standardName: string, what: 'engine' | 'gateway') => ({
  name: Type.String({
    minLength: 1,
    default: standardName,
    description: `Name of this ${what}, unique among them and the same after a restart.`,
  }),
  scheduler: Type.String({
    minLength: 1,
    default: '127.0.0.1:9005',
    description: 'Address of the scheduler for agents and gateways.',
  }),
})
