/** Commands about the Millrace that `up` runs on this machine; they join those of cli/, which knows no machine. */
import type { AddCommand } from '../cli/program.ts'
import { addDoctor } from './commands/doctor.ts'
import { addLogs } from './commands/logs.ts'

export const MACHINE_COMMANDS: readonly AddCommand[] = [addLogs, addDoctor]
