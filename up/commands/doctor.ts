import { resolve } from 'node:path'
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { EXIT, type ExitCode } from '../../cli/exit-codes.ts'
import { toTable } from '../../cli/output/table.ts'
import type { Run, Session } from '../../cli/session.ts'
import { findingColumns, type Finding, verdictOf } from '../doctor/finding.ts'
import { diagnose } from '../doctor/diagnose.ts'
import { stateDirOption, toolsDirOption } from './options.ts'

interface DoctorOptions {
  readonly stateDir: string
  readonly toolsDir: string
}

/** `doctor`: what is missing or wrong on this machine, one line each with the fix. */
export function addDoctor(program: Command, run: Run): void {
  program
    .command('doctor')
    .summary('say what is missing or wrong on this machine')
    .description(
      'Checks this machine and the Millrace that `millrace up` runs on it: one line for each finding, with the fix. ' +
        'Exit code 1 when something is wrong.',
    )
    .addOption(stateDirOption())
    .addOption(toolsDirOption())
    .action((options: DoctorOptions, command: Command) => run(command, (session) => doctor(session, options)))
}

async function doctor(session: Session, options: DoctorOptions): Promise<ExitCode> {
  const findings = await diagnose({
    stateDir: resolve(options.stateDir),
    toolsDir: resolve(options.toolsDir),
    portOffset: session.portOffset,
    environment: process.env,
    admin: session.admin,
    caller: session,
    now: session.now,
  })
  show(session, findings)
  return findings.some(({ state }) => state === 'wrong') ? EXIT.failed : EXIT.ok
}

function show({ terminal, format }: Session, findings: readonly Finding[]): void {
  switch (format) {
    case 'json':
      terminal.out(JSON.stringify(findings, undefined, 2))
      return
    case 'yaml':
      terminal.out(stringify(findings).trimEnd())
      return
    case 'name':
      for (const { check, state } of findings) if (state === 'wrong') terminal.out(check)
      return
    case 'table':
    case undefined:
      for (const line of toTable(findingColumns(terminal), findings)) terminal.out(line)
      terminal.note(verdictOf(findings))
  }
}
