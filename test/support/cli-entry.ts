import { main } from '../../cli/main.ts'
import { MACHINE_COMMANDS } from '../../up/machine-commands.ts'

await main(process.argv.slice(2), MACHINE_COMMANDS)
